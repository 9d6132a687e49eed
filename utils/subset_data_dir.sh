#!/usr/bin/env bash
# Makes a data directory of some utterances of another. For the options see --help.
exec python3 "$(dirname "$0")/data_dir_tool.py" subset_data_dir.sh "$@"
