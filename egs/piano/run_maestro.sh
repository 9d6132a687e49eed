#!/usr/bin/env bash
# AudioLM's piano experiment at the paper's sizes, on MAESTRO (200 hours) in the place of its 40,000 hours, which are not
# public: pieces of 30 s to learn from, of 24 s to try it on. Eight GPUs of 80 GB are assumed; not run yet at this size.
#   ./run_maestro.sh --ngpu 8 --local-data-opts "--maestro <folder of maestro-v3.0.0.csv> --train-chunk-seconds 30 \
#       --dev-chunks 500 --test-chunks 300"
# Of the 300 pieces of the test set the report's listening page has 15, as many as the paper's listeners had.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./run.sh --audio-format flac --check-samples true \
    --hubert-config conf/train_hubert_paper.yaml --semantic-layer 7 --semantic-clusters 1024 --hubert-target-layer 6 \
    --portion 0.05 --kmeans-args "" \
    --codec-config conf/train_codec_paper.yaml --soundstorm-config conf/train_soundstorm_paper.yaml \
    --audiolm-config conf/train_audiolm_paper.yaml --report-args "--report.examples 15" \
    --results RESULTS_maestro.md "$@"
