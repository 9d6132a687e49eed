#!/usr/bin/env bash
# Every acoustic model and every text front in one table, on the semantic tokens and the codec of a finished ./run.sh:
# word errors by two ears with paired intervals, voice, consistency, quality, what training and decoding took;
# RESULTS_systems.md. What is there is not made again. The ear should be one that has never heard the corpus; the
# recipe's own is the second, or without it the only one. With --prompted true all speak after a prompt of 3 s too. With
# --small true the same of a finished ./run_small.sh, to see that it works.
#   ./run_systems.sh [--ear openai/whisper-base] [--models "audiolm mask_diffusion tacotron2"] \
#       [--variants "soundstorm_unet mask_diffusion_absorbing mask_diffusion_cross"] [--prompted true] [--small true] \
#       [<options of the engine>]
# Trainings one by one, side by side with others: ./run_systems.sh --models audiolm --variants "" --stage 4 --stop-stage 4
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=local/series.sh
. local/series.sh

# SoundStorm has 1500 steps, half of its configuration's. Mask diffusion and the variants train for about as long: with the
# U-Net a step takes 4.2 times as long (0.76 s for 0.182, by the table of RESULTS_systems.md), so that its 360 take what
# the 1500 do on a quiet machine. AudioLM has 270 steps of each stage, not its configuration's 900; the 270 took 1.4 times
# SoundStorm's seconds. Tacotron 2 and WaveNet, which know neither tokens nor codec, have the steps of their configuration.
declare -A options_of=( # of the training of a variant
    [soundstorm_unet]="--model.combine unet $(steps 360)" # the codebooks' embeddings through a U-Net, not their sum
    [mask_diffusion_absorbing]="--diffusion.uniform 0" # masks alone, no random codes
    [mask_diffusion_cross]="--model.conditioning cross $(steps 625)" # attention to semantic tokens, not added to frames
)
ear="" models="audiolm mask_diffusion tacotron2" variants="soundstorm_unet mask_diffusion_absorbing" prompted=false
small=false
take_options "ear models variants prompted small" "$@"

run=./run.sh output=RESULTS_systems.md audiolm_steps=270 variant_steps="" quality_utterances=20
args=(--soundstorm-tag equal --soundstorm-args "$(steps 1500)")
if "${small}"; then
    run=./run_small.sh output=exp_small/RESULTS_systems.md audiolm_steps=20 variant_steps=$(steps 20) quality_utterances=4
    args=(--mask-diffusion-args "$(steps 20) --model.layers 1 --model.width 32 --model.inner 64"
        --text-to-semantic-args "$(steps 20)"
        --tacotron2-args "$(steps 20) --wavenet-training.max-steps 20 --wavenet-training.valid-every 20"
        --decode-args "--tacotron2.max-seconds 1") # after so few steps it would not end by itself
fi
score_args="--score.quality-utterances ${quality_utterances}"
listen_with "${ear}" closed:train

read -ra models <<<"${models}"
read -ra variants <<<"${variants}"
systems=(soundstorm) acoustic_variants=""
for name in "${variants[@]}"; do
    if [ -z "${options_of[${name}]:-}" ]; then
        echo "$0: --variants has '${name}', expected some of ${!options_of[*]}" >&2
        exit 1
    fi
    acoustic_variants+=" ${name}='${options_of[${name}]} ${variant_steps}'"
    [[ ${name} != soundstorm_* ]] || systems+=("${name}")
done
for name in "${models[@]}"; do
    [ "${name}" = tacotron2 ] || systems+=("${name}")
    [ "${name}" != mask_diffusion ] || systems+=(mask_diffusion_51 mask_diffusion_26 mask_diffusion_11)
done
for name in "${variants[@]}"; do
    [[ ${name} == soundstorm_* ]] || systems+=("${name}")
done
systems+=(soundstorm_text soundstorm_masked_text)
[[ " ${models[*]} " != *" tacotron2 "* ]] || systems+=(tacotron2 tacotron2_griffin_lim)
! "${prompted}" || systems+=("${systems[@]/%/_prompted}")

exec "${run}" --stage 4 --acoustic-models "soundstorm ${models[*]}" --acoustic-variants "${acoustic_variants}" \
    --text-to-semantic-models "autoregressive masked" --systems "codec ${systems[*]}" --decode-tag systems \
    --recognizer "${recognizer}" --score-args "${score_args}" --dialogue-script "" --pack false \
    --audiolm-tag equal --audiolm-args "$(steps "${audiolm_steps}")" "${args[@]}" \
    --report-config conf/report_systems.yaml --results "${output}" "${engine[@]}"
