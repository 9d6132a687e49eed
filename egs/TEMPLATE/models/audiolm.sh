# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh: AudioLM as one of --acoustic-models.
# --- options
# AudioLM (stage 4)
audiolm_config=conf/train_audiolm.yaml  # configuration of the models
audiolm_args=                 # further options of train_audiolm
audiolm_tag=                  # suffix of the experiment directory (empty: from the configuration's name)
audiolm_exp=                  # experiment directory or pack (empty: <expdir>/audiolm[_<tag>])
audiolm_stages="coarse fine"  # its language models that are trained, one after the other; "semantic", its first one, serves --figures runtime, --likelihood-pairs and systems <model>_continued; "acoustic" is the coarse one without semantic tokens, the system audiolm_acoustic_prompted
likelihood_pairs=             # gold.csv files in the manner of sWUGGY and sBLIMP, scored by its first stage (stage 7)
# --- end of options

variant_stage[audiolm_acoustic]=acoustic

audiolm_extras() {  # Is the right one of two recordings likelier for the first stage? Adds to `extras`.
    local gold golds model
    split_arguments "${likelihood_pairs}"
    golds=("${arguments[@]}")
    [ "${#golds[@]}" -gt 0 ] || return 0
    model=$(stage_dir audiolm semantic)
    for gold in "${golds[@]}"; do
        [ -e "${gold}" ] || die "--likelihood-pairs: no such file ${gold}"
        extras+=("${model}/pairs_${gold//[^A-Za-z0-9]/_}.json")
        [[ -e ${model}/model.safetensors || ${wants_status} == true ]] ||
            die "--likelihood-pairs are scored by AudioLM's first stage:" \
                "add semantic to --audiolm-stages, and run stage 4"
        measure "${extras[-1]}" "likelihood of the pairs in ${gold}" measure_pairs --pairs "${gold}" \
            --kmeans "${semantic_exp}" --semantic "${model}"
    done
}
