#!/usr/bin/env bash
# Real speech of many voices in any words: speechocean762 as published, Kaldi data directories of your own, or both, in an
# hour or two of two CPU cores (RESULTS.md). Whisper base hears the words, and its fourth layer gives the semantic tokens.
#   ./run.sh --local-data-opts "--corpus <speechocean762>"
#   ./run.sh --local-data-opts "--extra-data <data directory> --extra-data <another>"     (local/data.sh --help: more)
# A Whisper of your own disk: WHISPER=<transformers directory> ./run.sh ...
# Tokens of an own HuBERT: --ssl-model pretrain --semantic-layer 3 --kmeans-args "--normalization utterance".
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

WHISPER=${WHISPER:-openai/whisper-base}
exec ./soundstorm.sh --train-jobs 2 \
    --train-set train --valid-set dev --test-sets "test" \
    --text-train-set train_text --text-valid-set dev_text \
    --ssl-model "whisper:${WHISPER}" --semantic-layer 4 --semantic-clusters 512 \
    --kmeans-args "--normalization global" --portion 0.3 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-models masked \
    --systems "codec soundstorm_greedy soundstorm soundstorm_prompted soundstorm_text soundstorm_text_prompted" \
    --prompt-seconds 1.5 --consistency none --recognizer "$(printf '%q' "${WHISPER}")" \
    --decode-config conf/decode.yaml --results RESULTS.md "$@"
