#!/usr/bin/env bash
# The same recipe on a smaller corpus and with short trainings, beside it in data_small, dump_small and exp_small: every
# stage in a few minutes, to see that the chain works. Its scores say little.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=local/series.sh
. local/series.sh

exec ./run.sh --datadir data_small --dumpdir dump_small --expdir exp_small --test-sets "test" \
    --local-data-opts "--preset small --corpus-dir corpus_small" \
    --token-recognizer-args "$(steps 200)" --hubert-args "$(steps 200)" --codec-args "$(steps 120)" \
    --soundstorm-args "$(steps 40)" --text-to-semantic-args "$(steps 40)" \
    --masked-text-to-semantic-args "$(steps 40)" --recognizer-args "$(steps 120)" --consistency-args "$(steps 30)" \
    --score-args "--score.quality-utterances 4" --results "" --normal-losses "" "$@"
