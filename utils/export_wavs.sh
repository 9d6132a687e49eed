#!/usr/bin/env bash
# Writes decoded speech as WAVs with a list in the manner of Seed-TTS. For the options see --help.
#   utils/export_wavs.sh --data-dir data/test --decode-dir exp/soundstorm/decode_soundstorm/test --output wavs
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/front.sh" export_wavs "$@"
