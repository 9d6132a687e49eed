#!/usr/bin/env bash
# Copies a data directory, renaming its utterances and speakers. For the options see --help.
exec python3 "$(dirname "$0")/data_dir_tool.py" copy_data_dir.sh "$@"
