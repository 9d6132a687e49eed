# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh: --acoustic-variants, further trainings of acoustic models, become models of their own names,
# with the settings of the model that they are of.

declare -A variant_of=() # name of a variant: its model
split_arguments "${acoustic_variants}"
for word in "${arguments[@]}"; do
    name=${word%%=*} model=""
    for known in "${known_models[@]}"; do
        [[ ${name} != "${known}"_* ]] || model=${known}
    done
    [[ -n ${model} && ${word} == *=* && ${name} =~ ^[a-z0-9_]+$ && ! ${name} =~ _(text|prompted|continued)$ ]] ||
        die "--acoustic-variants has '${word}', expected <model>_<name>=<options of its training> with a model of" \
            "${known_models[*]} and a name of a-z, 0-9 and _ that does not end in _text, _prompted or _continued"
    [[ -z ${variant_options[${name}]:-}${variant_stage[${name}]:-}${variant_of[${name}]:-} ]] ||
        die "--acoustic-variants has '${name}', which is the name of another system; take a new one"
    variant_of[${name}]=${model}
    for part in config stages reads_text args; do
        value=${model}_${part}
        printf -v "${name}_${part}" '%s' "${!value:-}"
    done
    printf -v "${name}_args" '%s' "${!value} ${word#*=}" # of the model, then its own
    printf -v "${name}_exp" '%s' "${expdir}/${name}"
    acoustic_model_names+=("${name}")
done
