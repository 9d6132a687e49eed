#!/usr/bin/env bash
# What training by other masks than the paper's changes, on the tokens of a finished ./run.sh: word errors and voice
# of each beside the paper's, a training for each of --seeds; RESULTS_ablations.md. Four minutes a training on two
# CPU cores; what is there is not made again. The ear should be one that has never heard the corpus; without one it
# is the recipe's own. With --small true the same of a finished ./run_small.sh, to see that it works.
#   ./run_ablations.sh [--ear openai/whisper-base] [--seeds "0 1 2"] [--variants "paper grid0.5"] [--small true] \
#       [--soundstorm-args "<options of all trainings>"] [--test-sets test] [<options of the engine>]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
# shellcheck source=local/series.sh
. local/series.sh
# <name> <options of train_soundstorm>, or <name> =<name of another, whose training it has> <options of synthesize>
known=(
    "paper --masking.scheme paper"
    "unprompted --masking.grid 0 --masking.unprompted 0.15"
    "levels --masking.grid 0 --masking.unprompted 0.15 --masking.levels linear"
    "grid0.5 --masking.grid 0.5"
    "grid0.5_levels --masking.grid 0.5 --masking.levels linear"
    "grid0.5_weights --masking.grid 0.5 --masking.grid-weights linear"
    "grid0.5_noise --masking.grid 0.5 --masking.noise 0.1"
    "grid0.5_guidance =grid0.5 --decode.guidance 1"
    "grid1 --masking.grid 1"
)
ear="" seeds="0 1 2" variants="" small=false soundstorm_args="" decode_args="" test_sets="" expdir=""
take_options "ear seeds variants small soundstorm_args decode_args test_sets expdir" "$@"
stand_on_run ablations "test test_unseen"
: "${soundstorm_args:=$(steps "$("${small}" && echo 150 || echo 1500)")}"
score_args="--score.quality-utterances 0 --score.second-utterances 0"
listen_with "${ear}"

declare -A training=()
rows=() # the first is what the others are compared with
for variant in "${known[@]}"; do
    read -r name options <<<"${variant}"
    trained=${name} decoding=""
    if [[ ${options} == =* ]]; then
        read -r trained decoding <<<"${options#=}"
    else
        training[${name}]=${options}
    fi
    [[ -z ${variants} || " ${variants} " == *" ${name} "* ]] || continue
    scores="${expdir}/soundstorm_ablation_${trained}_{seed}/score_ablation_${name}_{seed}"
    for system in soundstorm soundstorm_prompted; do
        rows+=(--row "${name}" "${system}" "${scores}")
    done
    for seed in ${seeds}; do
        share_originals "${scores//"{seed}"/"${seed}"}"
        "${recipe[@]}" --stage 4 --stop-stage 7 --systems "soundstorm soundstorm_prompted" --dialogue-script "" \
            --results "" --pack false --consistency none --recognizer "${recognizer}" --score-args "${score_args}" \
            --soundstorm-tag "ablation_${trained}_${seed}" --decode-tag "ablation_${name}_${seed}" \
            --soundstorm-args "${soundstorm_args} ${training[${trained}]} --training.seed ${seed}" \
            --decode-args "${decode_args} ${decoding}" "${engine[@]}"
    done
done
! "${wants_status}" || exit 0
read -ra seeds <<<"${seeds}"
python3 local/variants_table.py "${rows[@]}" --sets "${sets[@]}" --seeds "${seeds[@]}" --command "${command}" \
    --title "Ablations of training" --output "${output}"
