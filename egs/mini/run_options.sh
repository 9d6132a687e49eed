#!/usr/bin/env bash
# What options of decoding change: word errors, voice, quality and seconds with fewer passes and others, each beside the
# first of its kind (from semantic tokens 16 iterations, from text the autoregressive model), on the models of a finished
# ./run.sh; trained is only a missing autoregressive model of text to semantic tokens. RESULTS_options.md. Two and a half minutes
# a row and system on two CPU cores with openai/whisper-base as the ear; what is there is not made again. The ear should be
# one that has never heard the corpus; the recipe's own comes second, or alone. --tags are suffixes of other experiment
# directories, whose models are decoded too: after ./run_ablations.sh e.g. "ablation_paper_0". With --small true the same of
# a finished ./run_small.sh, to see that it works.
#   ./run_options.sh [--ear openai/whisper-base] [--systems "soundstorm soundstorm_prompted"] [--seeds "0 1"] \
#       [--variants "iterations16 iterations4"] [--tags "ablation_paper_0"] [--test-sets "test test_unseen"] [--small true] \
#       [<options of the engine>]
#   ./run_options.sh --systems "soundstorm_text soundstorm_masked_text" ...    # the fronts from text
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
# shellcheck source=local/series.sh
. local/series.sh
# <what it speaks from> <name> <configuration> <options of synthesize>
known=(
    "semantic iterations16 conf/decode.yaml --decode.iterations 16,1"
    "semantic iterations8 conf/decode.yaml --decode.iterations 8,1"
    "semantic iterations4 conf/decode.yaml --decode.iterations 4,1"
    "semantic iterations2 conf/decode.yaml --decode.iterations 2,1"
    "semantic iterations1 conf/decode.yaml --decode.iterations 1,1"
    "semantic paper conf/decode_paper.yaml"
    "semantic iterations16_guidance1 conf/decode.yaml --decode.iterations 16,1 --decode.guidance 1"
    "semantic iterations4_guidance1 conf/decode.yaml --decode.iterations 4,1 --decode.guidance 1"
    "semantic iterations4_prior0.5 conf/decode.yaml --decode.iterations 4,1 --decode.prior 0.5"
    "semantic iterations16_entropy64 conf/decode.yaml --decode.iterations 16,1 --decode.entropy-bound 64"
    "semantic iterations4_best4 conf/decode.yaml --decode.iterations 4,1 --decode.best-of 4"
    "text autoregressive conf/decode.yaml"
    "masked_text passes16 conf/decode.yaml --masked-text.iterations 16"
    "masked_text passes8 conf/decode.yaml --masked-text.iterations 8"
    "masked_text passes4 conf/decode.yaml --masked-text.iterations 4"
    "masked_text passes2 conf/decode.yaml --masked-text.iterations 2"
    "masked_text passes1 conf/decode.yaml --masked-text.iterations 1"
    "masked_text sampled_durations conf/decode.yaml --masked-text.duration-temperature 1"
    "masked_text speed1.2 conf/decode.yaml --masked-text.speed 1.2"
    "masked_text recorded_durations conf/decode.yaml --as-recorded"
)
ear="" systems=soundstorm_prompted seeds=0 variants="" tags="" small=false decode_args="" test_sets="" expdir=""
take_options "ear systems seeds variants tags small decode_args test_sets expdir" "$@"
stand_on_run options test
score_args="--score.quality-utterances 20" small_args=()
if "${small}"; then
    score_args="--score.quality-utterances 2" small_args=(--text-to-semantic-args "$(steps 20)")
fi
listen_with "${ear}" closed:train

read -ra seeds <<<"${seeds}"
read -ra tags <<<"${tags}"
rows=()
for system in ${systems}; do
    source=${system#soundstorm}
    source=${source%_prompted}
    source=${source#_}
    models=() stage=6
    [ -z "${source}" ] || models=(--text-to-semantic-models "autoregressive masked") stage=5
    for tag in "" "${tags[@]}"; do
        for variant in "${known[@]}"; do
            read -r from name config options <<<"${variant}"
            [[ ${from} == "${source:-semantic}" && (-z ${variants} || " ${variants} " == *" ${name} "*) ]] || continue
            scores="${expdir}/soundstorm${tag:+_${tag}}/score_options_${tag:+${tag}_}${name}_{seed}"
            rows+=(--row "${tag:+${tag}/}${name}" "${system}" "${scores}")
            for seed in "${seeds[@]}"; do
                share_originals "${scores//"{seed}"/"${seed}"}"
                "${recipe[@]}" --stage "${stage}" --stop-stage 7 --systems "${system}" --dialogue-script "" --results "" \
                    --pack false --consistency none --recognizer "${recognizer}" "${models[@]}" \
                    --score-args "${score_args}" --soundstorm-tag "${tag}" --decode-config "${config}" \
                    --decode-args "${decode_args} ${options} --decode.seed ${seed}" \
                    --decode-tag "options_${tag:+${tag}_}${name}_${seed}" "${small_args[@]}" "${engine[@]}"
            done
        done
    done
done
[ ${#rows[@]} -gt 0 ] || die "no variant is both of --systems '${systems}' and of --variants '${variants}'"
! "${wants_status}" || exit 0
python3 local/variants_table.py "${rows[@]}" --sets "${sets[@]}" --seeds "${seeds[@]}" --command "${command}" \
    --title "Options of decoding" --output "${output}"
