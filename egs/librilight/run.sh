#!/usr/bin/env bash
# The paper's main experiment: 60,000 hours of LibriLight, tested on LibriSpeech test-clean, with
# AudioLM's stages on the same tokens, the synthesized-speech detector, and the figures of run time and iterations.
# Not run yet at this size: RESULTS.md says what was. Eight GPUs of 80 GB are assumed; conf/*.yaml say for what.
#   ./run.sh --ngpu 8 --local-data-opts "--librilight <dir> --librispeech <dir>"
# LibriLight has no transcripts. For speech from text, add to --local-data-opts: --text-parts train-clean-100 (LibriSpeech's)
# and to the command: --text-train-set train_text --text-valid-set dev_text --systems "codec soundstorm_prompted soundstorm_text_prompted"
# k-means holds its frames in memory: --portion 0.0003 of all pieces is 18 hours, 10 GB, twice that while they are joined.
# With --subsets small (577 hours, in --local-data-opts) take 0.03.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./soundstorm.sh \
    --train-set train --valid-set dev --test-sets test_clean \
    --ssl-model facebook/hubert-base-ls960 --semantic-layer 9 --semantic-clusters 500 --portion 0.0003 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --acoustic-models "soundstorm audiolm" --audiolm-stages "semantic coarse fine" \
    --audiolm-config conf/train_audiolm.yaml \
    --systems "codec soundstorm_greedy soundstorm soundstorm_prompted audiolm audiolm_prompted" --prompt-seconds 3 \
    --decode-config conf/decode.yaml \
    --recognizer facebook/hubert-large-ls960-ft --speaker-model microsoft/wavlm-base-plus-sv \
    --detector train --figures "runtime iterations" "$@"
