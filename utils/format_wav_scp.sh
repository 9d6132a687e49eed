#!/usr/bin/env bash
# Writes the audio of a data directory to files of one channel and one rate. For the options see --help.
exec python3 "$(dirname "$0")/data_dir_tool.py" format_wav_scp.sh "$@"
