#!/usr/bin/env bash
# Stage 0: data directories of piano music: MAESTRO as published, a folder of MIDI files, or music made up here.
#   local/data.sh --maestro <dir> | --midi <dir> | --compose <works>     (local/data.sh --help lists all options)
set -euo pipefail
. ./path.sh

OMP_NUM_THREADS=1 python3 local/prepare.py "$@"
