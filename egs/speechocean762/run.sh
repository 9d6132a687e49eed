#!/usr/bin/env bash
# Real speech: speechocean762 as published, Kaldi data directories of your own, or both. Every model is trained here;
# sizes are meant for about an hour on two CPU cores. RESULTS.md says what has been run.
# The test sentences have words that so small a training text lacks. The recipe's recogniser therefore reads with the words of
# the test sentences, in any order, and freely beside that; pocketsphinx, the second opinion from outside, gets bigrams of the
# test sentences: without any help it hardly understands the corpus's accents.
#   ./run.sh --local-data-opts "--corpus <speechocean762>"
#   ./run.sh --local-data-opts "--extra-data <data directory> --extra-data <another>"     (local/data.sh --help: more)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./soundstorm.sh --train-jobs 2 \
    --train-set train --valid-set dev --test-sets "test" \
    --text-train-set train_text --text-valid-set dev_text \
    --ssl-model pretrain --hubert-config conf/train_hubert.yaml --semantic-layer 3 --semantic-clusters 256 \
    --kmeans-args "--normalization utterance" --portion 0.3 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --recognizer "closed:train train pocketsphinx" --score-args "--bigram-text data/test/text" \
    --decode-config conf/decode.yaml "$@"
