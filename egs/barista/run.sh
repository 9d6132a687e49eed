#!/usr/bin/env bash
# Real voices, judged by an ear that has never heard them: half an hour of drink orders by some 40 voices, on two CPU
# cores in an hour (RESULTS.md). Orders are those of Picovoice's speech-to-intent benchmark (local/data.sh); the codec and
# the k-means learn from any other speech too. Whisper base hears the words, and its fourth layer gives the semantic
# tokens: the second ear, which the recipe trains on the orders alone, shares nothing with them.
#   git clone https://github.com/Picovoice/speech-to-intent-benchmark
#   ./run.sh --local-data-opts "--source speech-to-intent-benchmark --extra-data <data directory>"
# AudioLM beside it, trained for longer:
#   ./run.sh --acoustic-models "soundstorm audiolm" --systems "codec soundstorm soundstorm_prompted audiolm audiolm_prompted"
# A Whisper of your own disk: WHISPER=<transformers directory> ./run.sh ...
# Tokens of an own HuBERT: --ssl-model pretrain --semantic-layer 3 --kmeans-args "--normalization utterance".
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

export WHISPER=${WHISPER:-openai/whisper-base} # for stage 0 too
exec ./soundstorm.sh --train-jobs 2 \
    --train-set train --token-train-set train_all --valid-set dev --test-sets "test" \
    --ssl-model "whisper:${WHISPER}" --semantic-layer 4 --semantic-clusters 512 \
    --kmeans-args "--normalization global" --portion 0.3 \
    --codec-config conf/train_codec.yaml \
    --soundstorm-config conf/train_soundstorm.yaml \
    --text-to-semantic-config conf/train_text_to_semantic.yaml \
    --systems "codec soundstorm soundstorm_prompted soundstorm_text soundstorm_text_prompted" \
    --prompt-seconds 1.5 --consistency none --recognizer "$(printf '%q' "${WHISPER}") closed:train" \
    --decode-config conf/decode.yaml --results RESULTS.md --normal-losses conf/normal_losses.json "$@"
