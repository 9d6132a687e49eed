#!/usr/bin/env bash
# Looks at every recording once: makes utt2dur, reco2dur and utt2rate, and names what cannot be used.
set -euo pipefail
export LC_ALL=C
utils=$(dirname "$0")
SOUNDSTORM_ROOT=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=python.sh
. "${utils}/python.sh"

nj=4
cmd=utils/run.py
check_samples=false

help_message="usage: utils/get_utt2dur.sh [options] <data-dir>
 e.g.: utils/get_utt2dur.sh --nj 8 --cmd \"\${train_cmd}\" data/train
Look at every recording once: make <data-dir>/utt2dur, the seconds of each utterance, reco2dur and utt2rate, and
name recordings that are unreadable, truncated, not mono or of another rate than most, and segments beyond their
ends. Does nothing where all that is there and newer than wav.scp and segments. Durations that are right stay.
  --nj N      jobs that read audio (default ${nj})
  --cmd C     how to run them (default ${cmd})
  --check-samples <true|false>  read all samples: is any recording silent, damaged, NaN or of another scale?
              Makes reco2peak too. Without it only recordings of floats are read (default ${check_samples})"

. "${utils}/parse_options.sh"

if [ $# -ne 1 ]; then
    echo "$0: expected <data-dir>, got $# arguments" >&2
    echo "${help_message}" >&2
    exit 1
fi
data=$1
tool() { python3 "${utils}/data_dir_tool.py" "$@"; }

message=$(tool utt2dur_known "${data}" "${check_samples}")
if [ -n "${message}" ]; then
    echo "${message}"
    exit 0
fi

[[ ${nj} =~ ^[0-9]{1,9}$ && $((10#${nj})) -gt 0 ]] || {
    echo "$0: --nj takes a number of at least 1, got '${nj}'" >&2
    exit 1
}
num_lines=$(grep -c '' "${data}/wav.scp") || { # counts a last line without newline too
    echo "$0: ${data}/wav.scp is empty" >&2
    exit 1
}
nj=$((10#${nj} < num_lines ? 10#${nj} : num_lines))
logdir=${data}/log
mkdir -p "${logdir}"
parts=() found=() faulty=()
for ((job = 1; job <= nj; job++)); do
    parts+=("${logdir}/wav.${job}.scp") found+=("${logdir}/found.${job}") faulty+=("${logdir}/faulty.${job}")
done
python3 "${utils}/split_scp.py" "${data}/wav.scp" "${parts[@]}"
if [ "${cmd}" = utils/run.py ]; then
    launcher=("${utils}/run.py") # which may have blanks
else
    read -ra launcher <<<"${cmd}" # the command has options of its own
fi
job=_JOB_NUMBER_ # becomes each job's number wherever it stands, also in paths: hence no word that paths have
words=()
for word in "${utils}/data_dir_tool.py" utt2dur_inspect "${logdir}/wav.${job}.scp" "${check_samples}" \
    "${logdir}/found.${job}" "${logdir}/faulty.${job}"; do
    [[ ${word} =~ [[:space:]] ]] || printf -v word '%q' "${word}" # the launcher hands these to bash as they are
    words+=("${word}")
done
"${launcher[@]}" "${job}=1:${nj}" "${logdir}/get_utt2dur.${job}.log" python3 "${words[@]}"
[ "${cmd}" = utils/run.py ] || "${utils}/wait_for_files.py" "${found[@]}" "${faulty[@]}"
trap 'rm -f "${parts[@]}" "${found[@]}" "${faulty[@]}"' EXIT
tool utt2dur_merge "${data}" "${found[@]}" "${faulty[@]}"
