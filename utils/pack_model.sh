#!/usr/bin/env bash
# Makes a directory to share trained models by: safetensors, settings, tokenizers, a model card. For the options see
# --help. What it makes stands for the experiments wherever one is asked for:
#
#   utils/pack_model.sh --acoustic-model exp/soundstorm --codec exp/codec --kmeans exp/kmeans_x --output packs/mine
#   ./run.sh --stage 6 --soundstorm-exp packs/mine --codec-exp packs/mine --semantic-exp packs/mine
#   utils/pack_model.sh --output packs/mine --push org/name    # says what would be uploaded
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/front.sh" pack_model "$@"
