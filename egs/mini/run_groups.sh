#!/usr/bin/env bash
# Does grouping help? Codecs of equal rate, 4 codebooks of 256 codes: four stages (1x4) against two stages of two groups
# (2x2), a codec and a SoundStorm on its tokens for each of --seeds, on the semantic tokens of a finished ./run.sh;
# RESULTS_groups.md. A quarter of an hour a pair on two CPU cores; what is there is not made again. The ear should be one
# that has never heard the corpus; without one it is the recipe's own. The acoustic tokens of the data are afterwards
# those of the last codec: ./run.sh has its own again from stage 3 on. With --small true the same of a finished
# ./run_small.sh, to see that it works.
#   ./run_groups.sh [--ear openai/whisper-base] [--seeds "0 1 2"] [--codec-config conf/train_codec_hifi.yaml] \
#       [--test-sets test] [--small true] [--codec-args "<options of all codecs>"] \
#       [--soundstorm-args "<options of all SoundStorms>"] [<options of the engine>]
# A codec of another family is its configuration's, of 4 codebooks too: HiFi-Codec's (needs ESPnet: make -C tools install)
# has experiments groups_hifi_2x2_0 and so on and a table of its own, RESULTS_groups_hifi.md.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"

. ./path.sh
# shellcheck source=local/series.sh
. local/series.sh
ear="" seeds="0 1 2" codec_config=conf/train_codec.yaml small=false codec_args="" soundstorm_args="" test_sets="" expdir=""
take_options "ear seeds codec_config small codec_args soundstorm_args test_sets expdir" "$@"
family=$(basename "${codec_config}" .yaml)
family=${family#train_codec} # nothing, or _hifi
name_of_all=groups${family}
stand_on_run "${name_of_all}" "test test_unseen" --codec-tag --codec-exp
score_args="--score.quality-utterances 0 --score.second-utterances 0"
if "${small}"; then
    : "${codec_args:=$(steps 200)}" "${soundstorm_args:=$(steps 150)}"
fi
listen_with "${ear}"

names=(1x4 2x2) rows=() reports=() # the first is what the other is compared with
for name in "${names[@]}"; do
    tag="${name_of_all}_${name}_{seed}" # as the tables take it
    scores="${expdir}/soundstorm_${tag}/score_${tag}"
    for system in soundstorm soundstorm_prompted; do
        rows+=(--row "${name}" "${system}" "${scores}")
    done
    reports+=("${expdir}/report_${tag}")
    for seed in ${seeds}; do
        tag=${name_of_all}_${name}_${seed}
        share_originals "${scores//"{seed}"/"${seed}"}"
        "${recipe[@]}" --stage 2 --stop-stage 4 --codec-tag "${tag}" --soundstorm-tag "${tag}" --acoustic-models soundstorm \
            --codec-config "${codec_config}" --codec-args "${codec_args} --model.groups ${name%x*} --training.seed ${seed}" \
            --soundstorm-args "${soundstorm_args} --training.seed ${seed}" "${engine[@]}"
        "${recipe[@]}" --stage 6 --stop-stage 7 --codec-tag "${tag}" --soundstorm-tag "${tag}" --decode-tag "${tag}" \
            --systems "codec soundstorm soundstorm_prompted" --dialogue-script "" --results "" --pack false \
            --consistency none --recognizer "${recognizer}" --score-args "${score_args}" "${engine[@]}"
    done
done
! "${wants_status}" || exit 0
read -ra seeds <<<"${seeds}"
python3 local/variants_table.py "${rows[@]}" --sets "${sets[@]}" --seeds "${seeds[@]}" --command "${command}" \
    --title "Groups of codebooks${family:+ (${family#_})}" --output "${output}"
python3 local/codec_table.py --variants "${names[@]}" --sets "${sets[@]}" \
    --seeds "${seeds[@]}" --reports "${reports[@]}" >>"${output}"
