#!/usr/bin/env bash
# Stage 0: data directories of chunks of conversations with their turns: from a manifest, from RTTM with STM or CTM, or
# from DailyTalk as published.
#   local/data.sh --manifest <file> | --dailytalk <dir> | --audio <dir> --rttm <file> --ctm <file>
#   (local/data.sh --help lists all options; local/conversations.py says what a manifest is)
set -euo pipefail
. ./path.sh

# Read in Python, as an option of utils/parse_options.sh has one value and --manifest may be given again and again.
python3 local/prepare.py "$@"
