#!/usr/bin/env bash
# Stage 0: data/train of train-clean-5, data/dev and data/test of dev-clean-2. No voice is in two of them.
#   local/data.sh --corpus <folder>                    what there is already, unpacked or as archives
#   local/data.sh --download true [--url <mirror>]     what is missing; an interrupted download goes on
# shellcheck disable=SC2034  # variables are options
set -euo pipefail

corpus=downloads  # folder that holds LibriSpeech/, the archives, or nothing yet
download=false    # fetch what is missing?
url=https://www.openslr.org/resources/31  # where from: OpenSLR or a mirror; also file://<folder>
dev_speakers=8    # voices of dev-clean-2 that make data/dev; the others make data/test
datadir=data      # where the sets go
help_message="Usage: local/data.sh [--corpus <folder>] [--download true] [--url <mirror>] [--dev-speakers 8]
    [--datadir data]"
. ./path.sh
. utils/parse_options.sh
[ $# -eq 0 ] || die "unexpected argument '$1'; options are --<name> <value>, see --help"

# The sums that OpenSLR publishes.
declare -A md5
md5[train-clean-5]=5df7d4e78065366204ca6845bb08f490
md5[dev-clean-2]=6d7ab67ac6a1d2c993d050e16d61080d

is_whole() {  # <file> <part>: is it that part's archive?
    [ -e "$1" ] && echo "${md5[$2]}  $1" | md5sum --check --status
}

fetch() {  # <part>: its archive; what an interrupted call left is gone on with
    local archive=${corpus}/$1.tar.gz source=${url}/$1.tar.gz
    [ ! -e "${archive}" ] || die "${archive} has another MD5 sum than OpenSLR's, ${md5[$1]}; remove it"
    "${download}" || die "${root} has no $1. Mini LibriSpeech is resource 31 of OpenSLR" \
        "(https://www.openslr.org/31/): pass its folder, ./run.sh --local-data-opts \"--corpus <folder>\"," \
        "or let it be fetched, ./run.sh --local-data-opts \"--download true\""
    mkdir -p "${corpus}"
    if ! is_whole "${archive}.part" "$1"; then
        log "fetching ${source}"
        curl --fail --location --silent --show-error --retry 5 --continue-at - --output "${archive}.part" \
            "${source}" || die "${source} cannot be fetched; the same command goes on from here, with" \
            "--url <mirror> (https://www.openslr.org/31/ names some) from elsewhere"
    fi
    if ! is_whole "${archive}.part" "$1"; then
        rm -f "${archive}.part"
        die "${source} has another MD5 sum than OpenSLR's, ${md5[$1]}, and is removed;" \
            "call again or name another --url"
    fi
    mv "${archive}.part" "${archive}"
}

unpack() {  # <part>: its folder gets its name only when all of it is there
    local new=${corpus}/unpacking.$1
    rm -rf "${new}"
    mkdir -p "${new}" "${root}"
    tar -xzf "${corpus}/$1.tar.gz" -C "${new}"
    mv "${new}/LibriSpeech/$1" "${root}/"
    rm -rf "${new}"
}

root=${corpus} # of the parts
[ -d "${corpus}/train-clean-5" ] || [ -d "${corpus}/dev-clean-2" ] || root=${corpus}/LibriSpeech
for part in train-clean-5 dev-clean-2; do
    if [ ! -d "${root}/${part}" ]; then
        is_whole "${corpus}/${part}.tar.gz" "${part}" || fetch "${part}"
        unpack "${part}"
    fi
done
python3 local/prepare.py --corpus "${root}" --dev-speakers "${dev_speakers}" --datadir "${datadir}"
