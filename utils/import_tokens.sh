#!/usr/bin/env bash
# Makes a data directory of what utils/export_tokens.sh, or such a toolkit, wrote. For the options see --help.
#   utils/import_tokens.sh --format lhotse --input exported --output data/imported
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/front.sh" import_tokens "$@"
