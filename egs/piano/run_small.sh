#!/usr/bin/env bash
# The same recipe on a few minutes of made-up music, with pieces of 8 s and prompts of 2 s, beside it in data_small,
# dump_small and exp_small: a few minutes in all, to see that the chain works. Its scores say little.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

steps() {
    echo "--training.max-steps $1 --training.valid-every $1 --training.save-every $1"
}

exec ./run.sh --datadir data_small --dumpdir dump_small --expdir exp_small \
    --local-data-opts "--compose 7 --compose-seconds 40 --chunk-seconds 8 --dev-works 1 --test-works 2 \
        --dev-chunks 4 --test-chunks 4 --corpus-dir corpus_small" \
    --mfcc-clusters 32 --semantic-clusters 64 --hubert-iterations 1 --portion 1 --prompt-seconds 2 \
    --hubert-args "$(steps 20)" --codec-args "$(steps 40) --training.batch-size 4 --model.codebook-size 64" \
    --soundstorm-args "$(steps 20)" --audiolm-args "$(steps 8)" --results "" "$@"
