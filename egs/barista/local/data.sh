#!/usr/bin/env bash
# Stage 0: data directories from a checkout of the benchmark, or from Kaldi sets that were made of it.
#   local/data.sh --source <dir> [--extra-data <dir>]...     (local/data.sh --help lists all options)
set -euo pipefail
. ./path.sh

# Read in Python: options of utils/parse_options.sh have one value, and --extra-data may be given again.
python3 local/make_sets.py --recognizer "${WHISPER:-openai/whisper-base}" "$@"
