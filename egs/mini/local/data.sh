#!/usr/bin/env bash
# Stage 0 of egs/mini: synthesises the corpus offline with eSpeak NG, checks that its voices are told apart; of run_voice.sh:
# sets of LJ Speech.
set -euo pipefail

preset=full        # full (30 minutes of training speech) or small (6 minutes, for a quick check)
long=false         # also utterances of 20 to 30 s: the set test_long
corpus_dir=corpus  # where the recordings go
datadir=data       # where the data directories go
seed=0             # another seed says other sentences with the same voices
nj=2               # processes
lj_speech=         # a folder of LJ Speech: sets of that and nothing else
dev=7              # its clips for validation
test=21            # and for test

help_message="usage: local/data.sh [options], from the recipe directory
  --preset <full|small>  size of the corpus (default ${preset})
  --long <true|false>    also utterances of 20 to 30 s, the set test_long (default ${long})
  --corpus-dir <dir>     where the recordings go (default ${corpus_dir})
  --datadir <dir>        where the data directories go (default ${datadir})
  --seed <n>             another seed says other sentences with the same voices (default ${seed})
  --nj <n>               processes (default ${nj})
  --lj-speech <dir>      metadata.csv and wavs/ of LJ Speech, or of a part of it: sets of that and nothing else
  --dev <n>, --test <n>  its clips for validation and test (default ${dev}, ${test})"

. ./path.sh
. utils/parse_options.sh
[ $# -eq 0 ] || die "unexpected argument $1 (see local/data.sh --help)"

if [ -n "${lj_speech}" ]; then
    exec python3 local/ljspeech.py --corpus "${lj_speech}" --dev "${dev}" --test "${test}" --datadir "${datadir}"
fi

# Two processes with one thread each are faster than two with two.
export OMP_NUM_THREADS=1

sets=(train dev test test_unseen test_dialogue)
log "speech of the ${preset} preset into ${corpus_dir}"
python3 local/synthesise_corpus.py --preset "${preset}" --corpus-dir "${corpus_dir}" \
    --data-dir "${datadir}" --seed "${seed}" --nj "${nj}"
python3 -W ignore local/voice_report.py --data-dir "${datadir}"
if "${long}"; then
    python3 local/synthesise_corpus.py --preset long --corpus-dir "${corpus_dir}/long" \
        --data-dir "${datadir}" --seed "${seed}" --nj "${nj}"
    sets+=(test_long)
fi
for set_name in "${sets[@]}"; do
    utils/validate_data_dir.sh "${datadir}/${set_name}"
done
