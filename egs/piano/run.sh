#!/usr/bin/env bash
# AudioLM's piano experiment (its section IV-G) at a small size, without words: a beginning of 4 s goes on for 20 s. Semantic
# tokens of a HuBERT of the recipe's, a codec of three levels without fine stage, AudioLM against its acoustic-only model;
# and what that paper could not have, the same continuation's acoustic tokens by SoundStorm. Two CPU cores, an hour at most.
# The music is that of a folder of MIDI files, which FluidSynth plays (make -C tools system), or MAESTRO's:
#   ./run.sh --local-data-opts "--midi <folder>"
#   ./run.sh --audio-format flac --local-data-opts "--maestro <folder of maestro-v3.0.0.csv> --train-chunks 900"
#   ./run.sh --local-data-opts "--compose 40"      # made-up music, where there is neither
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

systems="codec soundstorm_prompted audiolm_prompted soundstorm_continued audiolm_continued audiolm_acoustic_prompted"
exec ./soundstorm.sh --train-jobs 2 \
    --train-set train --valid-set dev --test-sets "test" \
    --ssl-model pretrain --hubert-config conf/train_hubert.yaml --semantic-layer 3 --semantic-clusters 512 \
    --mfcc-clusters 128 --hubert-iterations 2 --hubert-target-layer 3 --hubert-target-clusters 512 \
    --portion 0.3 --kmeans-args "--normalization utterance" \
    --codec-config conf/train_codec.yaml \
    --acoustic-models "soundstorm audiolm" --soundstorm-config conf/train_soundstorm.yaml \
    --audiolm-config conf/train_audiolm.yaml --audiolm-stages "semantic coarse acoustic" \
    --systems "${systems}" --prompt-seconds 4 \
    --recognizer "" --speaker-model none --consistency none --music measure \
    --decode-config conf/decode.yaml --results RESULTS.md "$@"
