#!/usr/bin/env bash
# The same recipe with semantic tokens of a recogniser that is trained on the transcripts (--ssl-model recognizer) in place of
# a HuBERT that has only heard, beside it in data_supervised, dump_supervised and exp_supervised, read by a published
# recogniser as run_ear.sh has it; RESULTS_supervised.md. Acoustic consistency is left out: it reads a HuBERT.
#   ./run_supervised.sh [openai/whisper-base [options of the engine]]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./run_ear.sh "${1:-openai/whisper-base}" \
    --datadir data_supervised --dumpdir dump_supervised --expdir exp_supervised \
    --ssl-model recognizer --semantic-layer 4 --kmeans-args "--normalization global" --consistency none \
    --results RESULTS_supervised.md --normal-losses "" "${@:2}"
