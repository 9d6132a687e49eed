#!/usr/bin/env bash
# Does grouping help? Codecs of equal rate, 4 codebooks of 256 codes: four stages (1x4) against two stages of two groups
# (2x2), a codec and a SoundStorm on its tokens for each of --seeds, on the semantic tokens of a finished ./run.sh;
# RESULTS_groups.md. A quarter of an hour a pair on two CPU cores; what is there is not made again. The ear should be one
# that has never heard the corpus; without one it is the recipe's own. The acoustic tokens of the data are afterwards
# those of the last codec: ./run.sh has its own again from stage 3 on. With --small true the same of a finished
# ./run_small.sh, to see that it works.
#   ./run_groups.sh [--ear openai/whisper-base] [--seeds "0 1 2"] [--small true] [<options of the engine>]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
# shellcheck source=local/series.sh
. local/series.sh
ear="" seeds="0 1 2" small=false
take_options "ear seeds small" "$@"
run=./run.sh expdir=exp sets=(test test_unseen) output=RESULTS_groups.md
score_args="--score.quality-utterances 0 --score.second-utterances 0" codec_steps="" soundstorm_steps=""
if "${small}"; then
    run=./run_small.sh expdir=exp_small sets=(test) output=exp_small/RESULTS_groups.md
    codec_steps=$(steps 200) soundstorm_steps=$(steps 150)
fi
listen_with "${ear}"

names=(1x4 2x2) rows=() reports=() # the first is what the other is compared with
for name in "${names[@]}"; do
    for system in soundstorm soundstorm_prompted; do
        rows+=(--row "${name}" "${system}" "${expdir}/soundstorm_groups_${name}_{seed}/score_groups_${name}_{seed}")
    done
    reports+=("${expdir}/report_groups_${name}_{seed}")
    for seed in ${seeds}; do
        tag=groups_${name}_${seed}
        "${run}" --stage 2 --stop-stage 4 --codec-tag "${tag}" --soundstorm-tag "${tag}" --acoustic-models soundstorm \
            --codec-args "--model.groups ${name%x*} --training.seed ${seed} ${codec_steps}" \
            --soundstorm-args "--training.seed ${seed} ${soundstorm_steps}" "${engine[@]}"
        "${run}" --stage 6 --stop-stage 7 --codec-tag "${tag}" --soundstorm-tag "${tag}" --decode-tag "${tag}" \
            --systems "codec soundstorm soundstorm_prompted" --dialogue-script "" --results "" --pack false \
            --consistency none --recognizer "${recognizer}" --score-args "${score_args}" "${engine[@]}"
    done
done
! "${wants_status}" || exit 0
read -ra seeds <<<"${seeds}"
python3 local/variants_table.py "${rows[@]}" --sets "${sets[@]}" --seeds "${seeds[@]}" --command "${command}" \
    --title "Groups of codebooks" --output "${output}"
python3 local/codec_table.py --variants "${names[@]}" --sets "${sets[@]}" \
    --seeds "${seeds[@]}" --reports "${reports[@]}" >>"${output}"
