#!/usr/bin/env bash
# Stage 0: data directories from LibriLight and LibriSpeech as published; no audio is copied.
#   local/data.sh --librilight <dir> --librispeech <dir>     (local/data.sh --help lists all options)
set -euo pipefail
. ./path.sh

python3 local/prepare.py "$@"
