#!/usr/bin/env bash
# The embedded recipe: a corpus synthesised on the spot, every model trained in minutes on two CPU cores.
# Tokens of a HuBERT of its own, which needs no transcripts: --ssl-model pretrain --semantic-layer 3
# --kmeans-args "--normalization utterance" --consistency-args "--model.layer 1". The paper's autoregressive model from
# text to semantic tokens: --text-to-semantic-models autoregressive.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./soundstorm.sh --train-jobs 2 \
    --train-set train --valid-set dev --test-sets "test test_unseen" \
    --ssl-model recognizer --semantic-layer 4 --semantic-clusters 512 --kmeans-args "--normalization global" \
    --mfcc-clusters 128 --hubert-target-layer 3 --hubert-target-clusters 512 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-models masked \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --dialogue-script conf/dialogue.txt --dialogue-prompts "A=v01-test-001 B=v02-test-001" \
    --recognizer "closed:train train" --decode-config conf/decode.yaml --results RESULTS.md \
    --normal-losses conf/normal_losses.json --pack true --pack-args "--language en" "$@"
