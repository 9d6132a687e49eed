# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# What SPEAR-TTS does with little transcribed speech before text to semantic tokens is trained (stage 5).

pretrained_exp=${expdir}/$(basename "${text_to_semantic_pretrain:-none}" .yaml)

pretrain_on_tokens() {  # Semantic tokens with gaps in, all of them out: of the whole training set, transcribed or not.
    local set_name
    to_do "${pretrained_exp}/model.safetensors" "pre-training: ${pretrained_exp}" || return 0
    for set_name in "${train_set}" "${valid_set}"; do
        need "${datadir}/${set_name}/semantic.scp" 1
    done
    split_arguments "${text_to_semantic_pretrain_args}"
    run_training "${pretrained_exp}/log/train.log" pretrain_text_to_semantic --config "${text_to_semantic_pretrain}" \
        --train-data "${datadir}/${train_set}" --valid-data "${datadir}/${valid_set}" \
        --expdir "${pretrained_exp}" "${arguments[@]}"
}
