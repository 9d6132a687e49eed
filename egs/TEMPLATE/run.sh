#!/usr/bin/env bash
# <What this recipe trains on, on what hardware, how long it takes, where its results are.>
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./soundstorm.sh \
    --train-set train --valid-set dev --test-sets "test" \
    --ssl-model facebook/hubert-base-ls960 --semantic-layer 9 --semantic-clusters 1024 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --recognizer facebook/hubert-large-ls960-ft "$@"
