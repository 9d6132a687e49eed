#!/usr/bin/env bash
# What the options of decoding cost and save, on the models of a finished ./run.sh: word errors, voice and forward
# passes of each beside the paper's way, two samples of every test utterance; RESULTS_options.md. Half an hour on two
# CPU cores.
#   ./run_options.sh [options of the engine]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
# <name> <options of synthesize>; the first is what the others are compared with
variants=(
    "paper"
    "fp32 --decode.precision no"
    "iterations8 --decode.iterations 8,1"
    "iterations4 --decode.iterations 4,1"
    "iterations2 --decode.iterations 2,1"
    "prior0.25 --decode.prior 0.25"
    "prior0.5 --decode.prior 0.5"
    "prior1 --decode.prior 1"
    "entropy1 --decode.entropy-bound 1"
    "entropy4 --decode.entropy-bound 4"
    "entropy16 --decode.entropy-bound 16"
    "entropy64 --decode.entropy-bound 64"
    "guidance0.5 --decode.guidance 0.5"
    "guidance1 --decode.guidance 1"
)
names=() scores=()
for variant in "${variants[@]}"; do
    read -r name options <<<"${variant}"
    names+=("${name}")
    scores+=("exp/soundstorm/score_options_${name}_{seed}")
    for seed in 0 1; do
        ./run.sh --stage 6 --stop-stage 7 --systems "soundstorm soundstorm_prompted" --dialogue-script "" --results "" \
            --decode-tag "options_${name}_${seed}" --decode-args "${options} --decode.seed ${seed}" \
            --recognizer "closed:train" --consistency none \
            --score-args "--score.quality-utterances 0 --score.second-utterances 0" "$@"
    done
done
python3 local/variants_table.py --variants "${names[@]}" --scores "${scores[@]}" --seeds 0 1 --command "./run_options.sh $*" --title "Options of decoding" --output RESULTS_options.md
