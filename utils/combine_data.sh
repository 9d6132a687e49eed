#!/usr/bin/env bash
# Makes one data directory of several. For the options see --help.
exec python3 "$(dirname "$0")/data_dir_tool.py" combine_data.sh "$@"
