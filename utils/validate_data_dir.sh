#!/usr/bin/env bash
# Checks a data directory, so that every later stage can rely on it. For the options see --help.
exec python3 "$(dirname "$0")/data_dir_tool.py" validate_data_dir.sh "$@"
