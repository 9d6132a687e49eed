# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# What a recipe trains to hear and to code speech. The iterations of a HuBERT: the first learns clusters of MFCC, another
# those of the one before; the codec; recognisers, for tokens as for scores.

hubert_targets() {  # <iteration, counted from 0>: the k-means directory whose clusters it learns
    local tag=l${hubert_target_layer}_k${hubert_target_clusters}
    if [ "$1" -eq 0 ]; then
        echo "${mfcc_exp}"
    else
        echo "${expdir}/kmeans_$(file_name "${hubert_exps[$1 - 1]}")_${tag}"
    fi
}

train_hubert() {  # All iterations; `kmeans_arguments` are what all k-means have
    local iteration exp targets features model
    for iteration in "${!hubert_exps[@]}"; do
        exp=${hubert_exps[iteration]} targets=$(hubert_targets "${iteration}")
        features=(--features mfcc --clusters "${mfcc_clusters}")
        [ "${iteration}" -eq 0 ] || features=(--features "${hubert_exps[iteration - 1]}/hubert"
            --layer "${hubert_target_layer}" --clusters "${hubert_target_clusters}")
        if to_do "${targets}/centroids.safetensors" "k-means on ${features[1]}: ${targets}"; then
            run_one "${targets}/log/train.log" train_kmeans "${features[@]}" \
                "${kmeans_arguments[@]}" --output "${targets}"
        fi
        model=${exp}/hubert
        [ "${exp}" != "${hubert_exp}" ] || model=${ssl_source}
        if to_do "${model}/model.safetensors" "HuBERT pre-training: ${exp}"; then
            split_arguments "${hubert_args}$([ "${iteration}" -eq 0 ] || echo " ${hubert_next_args}")"
            [ "${exp}" = "${hubert_exp}" ] || arguments+=(--target-layer "${hubert_target_layer}") # found missing now
            run_training "${exp}/log/train.log" pretrain_hubert --config "${hubert_config}" \
                --train-data "${datadir}/${token_train_set}" --valid-data "${datadir}/${valid_set}" \
                --labels-kmeans "${targets}" --expdir "${exp}" "${arguments[@]}"
        fi
    done
}

train_ctc() {  # <experiment: token_recognizer or recognizer>
    need_text "$1"
    train_experiment "$1" train_recognizer "${datadir}/${text_train_set}" "${text_valid_set}"
}

check_codec() {  # A codec that cannot be used is found before hours of work, not after them.
    local options sets=("${acoustic_sets[@]}")
    ! "${wants_status}" || return 0
    if [ "${codec}" = train ]; then
        [ ! -e "${codec_exp}/model.safetensors" ] || return 0
        split_arguments "${codec_args}"
        options=(--config "${codec_config}" "${arguments[@]}")
        sets+=("${token_train_set}")
    else
        options=(--codec "${codec}" --features "${ssl_source}" --layer "${semantic_layer}")
        [[ ${ssl_name} == "${ssl_model}" || -e ${ssl_source#recognizer:}/model.safetensors ]] ||
            options=(--codec "${codec}" --features mfcc) # of its rate
    fi
    front 1 check_codec "${options[@]}" --data-dir "${sets[@]/#/${datadir}/}"
    interruptible "${front_command[@]}"
}

train_codec() {
    if [ "${codec}" = train ] && to_do "${codec_exp}/model.safetensors" "training: ${codec_exp}"; then
        need "${datadir}/${token_train_set}/utt2dur" 0
        need "${datadir}/${valid_set}/utt2dur" 0
        train_experiment codec train_codec "${datadir}/${token_train_set}" "${valid_set}"
    fi
}

train_listeners() {  # What scoring trains, on original recordings only.
    if [[ " ${recognizer} " =~ [\ :]train\  ]] && to_do "${recognizer_exp}/model.safetensors" "recogniser: ${recognizer_exp}"; then
        train_ctc recognizer
    fi
    if [ "${consistency}" = train ] && to_do "${consistency_exp}/model.safetensors" "acoustic consistency: ${consistency_exp}"; then
        train_experiment consistency train_consistency "${datadir}/${train_set}" "${valid_set}" \
            --ssl-model "${consistency_ssl_model:-${ssl_source}}"
    fi
}
