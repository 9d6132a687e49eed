#!/usr/bin/env bash
# Runs a command of soundstorm/bin, with the Python of tools/install.sh unless another is activated:
#   utils/front.sh <command> <options>
set -euo pipefail
root=$(CDPATH='' cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.." && pwd -P)
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "${root}/.venv/bin/python3" ]; then
    PATH=${root}/.venv/bin:${PATH}
fi
PYTHONPATH=${root}${PYTHONPATH:+:${PYTHONPATH}} exec python3 -m "soundstorm.bin.$1" "${@:2}"
