#!/usr/bin/env bash
# Writes the audio of a data directory to files of one channel and one rate. For the options see --help.
SOUNDSTORM_ROOT=$(dirname "$(dirname "$(realpath "$0")")")
# shellcheck source=python.sh
. "${SOUNDSTORM_ROOT}/utils/python.sh"
exec python3 "$(dirname "$0")/data_dir_tool.py" format_wav_scp.sh "$@"
