#!/usr/bin/env bash
# The main experiment with semantic tokens nearer to the paper's: w2v-BERT at 25 frames/s, each token repeated for the
# codec's 50, 1024 clusters of normalised dimensions. The paper's w2v-BERT XL is not public; this is w2v-BERT 2.0 (580M
# parameters, 50 frames/s, two of which are averaged) and its layer 17, which others cluster too. Options as of run.sh.
# Data and codec are run.sh's. Never run at this size, nor with the published weights: see RESULTS.md.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./run.sh \
    --ssl-model w2v-bert:facebook/w2v-bert-2.0 --semantic-layer 17 --semantic-clusters 1024 \
    --kmeans-args "--normalization global" --consistency-ssl-model facebook/hubert-base-ls960 \
    --soundstorm-tag w2v_bert --audiolm-tag w2v_bert --text-to-semantic-tag w2v_bert "$@"
