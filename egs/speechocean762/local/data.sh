#!/usr/bin/env bash
# Stage 0: data directories from speechocean762 as published, from Kaldi data directories of your own, or from both.
#   local/data.sh [--corpus <dir>] [--extra-data <dir>]...     (local/data.sh --help lists all options)
set -euo pipefail
. ./path.sh

# Read in Python, as an option of utils/parse_options.sh has one value and --extra-data may be given again and again.
python3 local/prepare.py "$@"
