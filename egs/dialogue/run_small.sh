#!/usr/bin/env bash
# The same recipe for a few hours of conversations and two CPU cores: every model is small and trained here, nothing is
# downloaded. An hour or two; RESULTS.md says what it gave.
#   ./run_small.sh --local-data-opts "--manifest <file> --sample-rate 16000"
# Where only a part is transcribed: --text-train-set train_text --text-valid-set dev_text
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

small=../speechocean762/conf
exec ./run.sh --train-jobs 2 --datadir data_small --dumpdir dump_small --expdir exp_small \
    --ssl-model pretrain --hubert-config "${small}/train_hubert.yaml" --semantic-layer 3 --semantic-clusters 256 \
    --kmeans-args "--normalization utterance" --portion 0.3 \
    --codec-config "${small}/train_codec.yaml" \
    --soundstorm-config "${small}/train_soundstorm.yaml" \
    --soundstorm-args "--data.max-seconds 30 --training.batch-seconds 30" \
    --text-to-semantic-config "${small}/train_text_to_semantic.yaml" \
    --decode-config "${small}/decode.yaml" \
    --recognizer "closed:train" --recognizer-config "${small}/train_recognizer.yaml" \
    --recognizer-args "--training.batch-seconds 30" \
    --consistency-config "${small}/train_consistency.yaml" \
    --score-args "--score.quality-utterances 8" --report-args "" "$@"
