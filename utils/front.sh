#!/usr/bin/env bash
# Runs a command of soundstorm/bin:
#   utils/front.sh <command> <options>
set -euo pipefail
SOUNDSTORM_ROOT=$(CDPATH='' cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.." && pwd -P)
# shellcheck source=python.sh
. "${SOUNDSTORM_ROOT}/utils/python.sh"
PYTHONPATH=${SOUNDSTORM_ROOT}${PYTHONPATH:+:${PYTHONPATH}} exec python3 -m "soundstorm.bin.$1" "${@:2}"
