#!/usr/bin/env bash
# Makes a directory to share trained models by: safetensors, settings, tokenizers, a model card. For the options see
# --help. What it makes stands for the experiments wherever one is asked for:
#
#   utils/pack_model.sh --acoustic-model exp/soundstorm --codec exp/codec --kmeans exp/kmeans_x --output packs/mine
#   ./run.sh --stage 6 --soundstorm-exp packs/mine --codec-exp packs/mine --semantic-exp packs/mine
set -euo pipefail
root=$(CDPATH='' cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.." && pwd -P)
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "${root}/.venv/bin/python3" ]; then
    PATH=${root}/.venv/bin:${PATH}
fi
PYTHONPATH=${root}${PYTHONPATH:+:${PYTHONPATH}} exec python3 -m soundstorm.bin.pack_model "$@"
