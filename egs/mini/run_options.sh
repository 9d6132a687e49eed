#!/usr/bin/env bash
# How few passes read the same words: word errors, voice, quality and seconds of decoding with fewer iterations and other
# options beside 16 iterations, on the models of a finished ./run.sh; nothing is trained. RESULTS_options.md. Two and a half
# minutes a row and system on two CPU cores with openai/whisper-base as the ear; what is there is not made again. The ear
# should be one that has never heard the corpus; the recipe's own comes second, or alone. --tags are suffixes of
# other experiment directories, whose models are decoded too: after ./run_ablations.sh e.g. "ablation_paper_0". With
# --small true the same of a finished ./run_small.sh, to see that it works.
#   ./run_options.sh [--ear openai/whisper-base] [--systems "soundstorm soundstorm_prompted"] [--seeds "0 1"] \
#       [--variants "iterations16 iterations4"] [--tags "ablation_paper_0"] [--small true] [<options of the engine>]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
# shellcheck source=local/series.sh
. local/series.sh
# <name> <configuration> <options of synthesize>
known=(
    "iterations16 conf/decode.yaml --decode.iterations 16,1"
    "iterations8 conf/decode.yaml --decode.iterations 8,1"
    "iterations4 conf/decode.yaml --decode.iterations 4,1"
    "iterations2 conf/decode.yaml --decode.iterations 2,1"
    "iterations1 conf/decode.yaml --decode.iterations 1,1"
    "paper conf/decode_paper.yaml"
    "iterations16_guidance1 conf/decode.yaml --decode.iterations 16,1 --decode.guidance 1"
    "iterations4_guidance1 conf/decode.yaml --decode.iterations 4,1 --decode.guidance 1"
    "iterations4_prior0.5 conf/decode.yaml --decode.iterations 4,1 --decode.prior 0.5"
    "iterations16_entropy64 conf/decode.yaml --decode.iterations 16,1 --decode.entropy-bound 64"
)
ear="" systems=soundstorm_prompted seeds=0 variants="" tags="" small=false
take_options "ear systems seeds variants tags small" "$@"
run=./run.sh expdir=exp output=RESULTS_options.md score_args="--score.quality-utterances 20"
if "${small}"; then
    run=./run_small.sh expdir=exp_small output=exp_small/RESULTS_options.md score_args="--score.quality-utterances 2"
fi
listen_with "${ear}" closed:train

read -ra seeds <<<"${seeds}"
read -ra tags <<<"${tags}"
names=() scores=() originals="" # the first name is what the others are compared with
for tag in "" "${tags[@]}"; do
    for variant in "${known[@]}"; do
        read -r name config options <<<"${variant}"
        [[ -z ${variants} || " ${variants} " == *" ${name} "* ]] || continue
        names+=("${tag:+${tag}/}${name}")
        scores+=("${expdir}/soundstorm${tag:+_${tag}}/score_options_${tag:+${tag}_}${name}_{seed}")
        for seed in "${seeds[@]}"; do
            score=${scores[-1]/"{seed}"/"${seed}"}/test/original.json
            : "${originals:=${score}}" # one score of the recordings serves all
            if [[ -e ${originals} && ! -e ${score} ]]; then
                mkdir -p "${score%/*}"
                cp "${originals}" "${score}"
            fi
            "${run}" --stage 6 --stop-stage 7 --systems "${systems}" --test-sets test --dialogue-script "" \
                --results "" --pack false --consistency none --recognizer "${recognizer}" \
                --score-args "${score_args}" --soundstorm-tag "${tag}" --decode-config "${config}" \
                --decode-args "${options} --decode.seed ${seed}" \
                --decode-tag "options_${tag:+${tag}_}${name}_${seed}" "${engine[@]}"
        done
    done
done
read -ra systems <<<"${systems}"
python3 local/variants_table.py --variants "${names[@]}" --scores "${scores[@]}" --systems "${systems[@]}" --sets test \
    --seeds "${seeds[@]}" --command "${command}" --title "Fewer passes for the same words" --output "${output}"
