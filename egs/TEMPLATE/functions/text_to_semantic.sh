# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# What SPEAR-TTS does with little transcribed speech before text to semantic tokens is trained (stage 5).

pretrained_exp=${expdir}/$(basename "${text_to_semantic_pretrain:-none}" .yaml)

back_translation_exp=${expdir}/$(basename "${back_translation:-none}" .yaml)_${text_train_set} # whose texts it writes like

needs_text_models() {  # Does anything speak from text?
    [[ ${systems} == *_text* || -n ${dialogue_script} ]]
}

train_text_models() {
    local name
    needs_text_models || return 0
    for name in "${text_model_names[@]}"; do
        train_text_model "${text_experiments[${name}]}"
    done
}

train_text_model() {  # <text_to_semantic or masked_text_to_semantic>
    local exp=$1_exp set_name data=${datadir}/${text_train_set} options=()
    to_do "${!exp}/free_running.json" "training: ${!exp}" is_trained "${!exp}" || return 0
    for set_name in "${text_train_set}" "${text_valid_set}"; do
        need_semantic_tokens "${set_name}"
    done
    need_text "$1"
    if [[ $1 == text_to_semantic && -n ${text_to_semantic_pretrain} ]]; then
        pretrain_on_tokens
        options=(--pretrained.experiment "${pretrained_exp}")
    fi
    if [ -n "${back_translation}" ]; then
        back_translate
        data=${back_translation_exp}/data
    fi
    train_experiment "$1" "train_$1" "${data}" "${text_valid_set}" "${options[@]}"
}

is_trained() {  # <experiment>: are its weights there, which are removed to train on, and what was found out about them?
    [[ -e $1/model.safetensors && -e $1/free_running.json ]]
}

pretrain_on_tokens() {  # Semantic tokens with gaps in, all of them out: of the whole training set, transcribed or not.
    local set_name
    to_do "${pretrained_exp}/model.safetensors" "pre-training: ${pretrained_exp}" || return 0
    for set_name in "${train_set}" "${valid_set}"; do
        need_semantic_tokens "${set_name}"
    done
    split_arguments "${text_to_semantic_pretrain_args}"
    run_training "${pretrained_exp}/log/train.log" pretrain_text_to_semantic --config "${text_to_semantic_pretrain}" \
        --train-data "${datadir}/${train_set}" --valid-data "${datadir}/${valid_set}" \
        --expdir "${pretrained_exp}" "${arguments[@]}"
}

back_translate() {  # Texts written by a model for the part of the training set that has none; true and written pairs together.
    local data=${back_translation_exp}/data options
    options=(--data-dir "${datadir}/${train_set}" --transcribed "${datadir}/${text_train_set}"
        --semantic-to-text "${back_translation_exp}")
    if to_do "${back_translation_exp}/model.safetensors" "semantic to text: ${back_translation_exp}"; then
        need_semantic_tokens "${train_set}"
        ! awk 'NR == FNR { told[$1]; next } !($1 in told) { exit 1 }' \
            "${datadir}/${text_train_set}/text" "${datadir}/${train_set}/semantic.scp" ||
            die "${datadir}/${text_train_set}/text has all of ${datadir}/${train_set}, which leaves no text to write;" \
                "name a transcribed part of it by --text-train-set, or leave --back-translation out"
        split_arguments "${back_translation_args}"
        run_training "${back_translation_exp}/log/train.log" train_semantic_to_text --config "${back_translation}" \
            --train-data "${datadir}/${text_train_set}" --valid-data "${datadir}/${text_valid_set}" \
            --expdir "${back_translation_exp}" "${arguments[@]}"
    fi
    split_arguments "${transcribe_args}"
    options+=("${arguments[@]}")
    to_do "${data}/semantic.scp" "back-translation: ${data}" \
        made_by "${data}/options.txt" "${data}/semantic.scp" "${options[@]}" || return 0
    need_semantic_tokens "${train_set}"
    rm -f "${data}/semantic.scp" # what has it is left alone
    run_one "${back_translation_exp}/log/back_translate.log" back_translate "${options[@]}" --output "${data}" || return
    remember "${data}/options.txt" "${options[@]}"
}
