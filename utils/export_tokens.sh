#!/usr/bin/env bash
# Writes the tokens of a data directory for other toolkits. For the options see --help.
#   utils/export_tokens.sh --format lhotse --data-dir data/test --output exported
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/front.sh" export_tokens "$@"
