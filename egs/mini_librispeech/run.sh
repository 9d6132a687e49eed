#!/usr/bin/env bash
# Between two CPU cores and a cluster: Kaldi's Mini LibriSpeech, 5 hours to train on and unseen voices to test
# on, for one GPU of 12 to 24 GB and about an hour. Not run yet at this size: RESULTS.md says what was; memory
# and times in conf/*.yaml are estimates. HuBERT, Whisper and WavLM are published ones, fetched by their names.
#   ./run.sh --ngpu 1 --local-data-opts "--download true"     (460 MB; from a mirror: --url <mirror> too)
#   ./run.sh --ngpu 1 --local-data-opts "--corpus <folder>"   (that holds LibriSpeech/)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./soundstorm.sh \
    --train-set train --valid-set dev --test-sets test \
    --ssl-model facebook/hubert-base-ls960 --semantic-layer 9 --semantic-clusters 500 --portion 0.5 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --decode-config conf/decode.yaml \
    --recognizer openai/whisper-base --score-args "--score.text-normalizer english" \
    --speaker-model microsoft/wavlm-base-plus-sv "$@"
