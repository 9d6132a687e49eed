#!/usr/bin/env bash
# Speech from text in one real voice: Tacotron 2 with WaveNet and with Griffin-Lim, without tokens or codec, on LJ Speech
# as published (https://keithito.com/LJ-Speech-Dataset: metadata.csv and wavs/, 24 h), or on what there is of it in such
# a folder; RESULTS_voice.md. Its last --test clips are for test, the --dev before them for validation. Half an hour of
# speech is known by heart after 1000 steps; more speech wants more --steps. Words are counted where an --ear listens.
#   ./run_voice.sh --corpus <LJSpeech-1.1> [--ear openai/whisper-base] [--steps 1000] [--dev 7] [--test 21] \
#       [<options of the engine>]
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=local/series.sh
. local/series.sh

corpus="" ear="" steps=1000 dev=7 test=21
take_options "corpus ear steps dev test" "$@"
score_args="--score.quality-utterances 20" recognizer=""
[ -z "${ear}" ] || listen_with "${ear}"

# Rates are held for as much of a training as in the configuration; WaveNet has half the steps, of a second and more each.
training="--data.max-seconds 10.2 --data.speaker-model none"
training+=" --training.max-steps ${steps} --training.hold-steps $((steps * 6 / 10))"
training+=" --wavenet-training.max-steps $((steps / 2)) --wavenet-training.hold-steps $((steps * 3 / 10))"

exec ./soundstorm.sh --datadir data_voice --expdir exp_voice --acoustic-models tacotron2 --tacotron2-args "${training}" \
    --local-data-opts "--lj-speech $(printf '%q' "${corpus:-.}") --dev ${dev} --test ${test}" \
    --systems "tacotron2 tacotron2_griffin_lim" --recognizer "${recognizer}" --consistency none \
    --score-args "${score_args}" --report-config conf/report_voice.yaml --results RESULTS_voice.md "${engine[@]}"
