#!/usr/bin/env bash
# The same recipe, read by a published recogniser that has never heard the corpus and knows all of English; the recipe's
# own, which knows its words only, comes second. RESULTS.md then leads with the outside ear. The first argument is a
# transformers model: a name on the hub, which is downloaded, or a directory; or faster-whisper:<that of a conversion>,
# e.g. faster-whisper:Systran/faster-whisper-base, in half of the seconds.
#   ./run_ear.sh [openai/whisper-base] [options of the engine]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

ear=openai/whisper-base
[[ $# -eq 0 || $1 == -* ]] || { ear=$1 && shift; }
exec ./run.sh --recognizer "$(printf '%q' "${ear}") closed:train train" \
    --score-args "--score.text-normalizer english --score.quality-utterances 20" --report-config conf/report_ear.yaml "$@"
