#!/usr/bin/env bash
# Stage 0: makes data/<set> for every set that run.sh names. See egs/TEMPLATE/README.md for what a set holds.
#   local/data.sh [--datadir data] --corpus <directory>
# shellcheck disable=SC2034  # variables are options
set -euo pipefail

corpus=       # where the corpus lies
datadir=data  # where the data directories go
help_message="Usage: local/data.sh [--datadir <dir>] --corpus <dir>"
. ./path.sh
. utils/parse_options.sh
[ -d "${corpus}" ] || die "--corpus '${corpus}' is no directory; pass it by ./run.sh --local-data-opts \"--corpus <dir>\""

# For each set write, one line per utterance, in any order:
#   ${datadir}/<set>/wav.scp   <utterance> <path of the audio file>
#   ${datadir}/<set>/utt2spk   <utterance> <speaker>
#   ${datadir}/<set>/text      <utterance> <transcript>        (where there are transcripts)
#   ${datadir}/<set>/segments  <utterance> <recording> <start> <end>   (where a file holds several utterances)
# then sort them and derive the rest:
#   utils/fix_data_dir.sh "${datadir}/<set>"
die "local/data.sh of this recipe is not written yet; egs/TEMPLATE/README.md shows how, step by step"
