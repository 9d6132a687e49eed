#!/usr/bin/env bash
# Sorts the files of a data directory and keeps the utterances that all of them have. For the options see --help.
exec python3 "$(dirname "$0")/data_dir_tool.py" fix_data_dir.sh "$@"
