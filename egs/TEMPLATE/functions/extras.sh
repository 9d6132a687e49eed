# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# Measurements beside the scores, each a JSON file and a section of the report: --abx, --detector, --music, --figures, and what
# acoustic models bring (a function <model>_extras in models/<model>.sh).

abx_file() {
    echo "${semantic_exp}/abx_${acoustic_archive#acoustic_}.json"
}

measure_abx() {  # Errors of MFCC, the model's features, semantic and acoustic tokens on the first test set.
    local data=${datadir}/${test_set_names[0]} options
    if [ ! -e "${data}/phones.ctm" ]; then
        log "  no ABX: ${data}/phones.ctm is missing"
        return
    fi
    to_do "$(abx_file)" "ABX errors of all tokens on ${data}: $(abx_file)" || return 0
    need "${semantic_exp}/centroids.safetensors" 1
    options=(--features mfcc --features "${ssl_source}@${semantic_layer}" --kmeans "${semantic_exp}")
    [ ! -e "${mfcc_exp}/centroids.safetensors" ] || options+=(--kmeans "${mfcc_exp}")
    [ "${codec}" != train ] || options+=(--codec "${codec_exp}")
    split_arguments "${abx_args}"
    run_one "${semantic_exp}/log/abx.log" measure_abx --data-dir "${data}" "${options[@]}" \
        --acoustic "${data}/acoustic.scp" "${arguments[@]}" --output "$(abx_file)"
}

detect_one() {  # <system> <file>: can a classifier tell it from recordings, over all test sets together?
    local set_name sets=() real=() generated=()
    for set_name in "${test_set_names[@]}"; do
        sets+=("${datadir}/${set_name}")
        real+=("$(decode_dir codec "${set_name}")")
        generated+=("$(decode_dir "$1" "${set_name}")")
    done
    split_arguments "${detector_args}"
    run_jobs 1 "${2%.json}.${JOB}.log" detect --config "${detector_config}" \
        --data-dir "${sets[@]}" --real "${real[@]}" --generated "${generated[@]}" "${arguments[@]}" \
        --expdir "${2%.json}" --output "$2"
}

draw_figure() {  # <runtime or iterations> <file>
    local data=${datadir}/${test_set_names[0]} options name exp
    options=(--config "${decode_config}" --data-dir "${data}" --codec "${codec_model}")
    case "$1" in
        runtime)
            for name in "${text_model_names[@]}"; do
                exp=${text_experiments[${name}]}_exp
                [ ! -e "${!exp}/model.safetensors" ] || options+=(--text-to-semantic "${!exp}")
            done
            for name in "${acoustic_model_names[@]}"; do
                ! reads_text "${name}" || continue
                exp=${name}_exp
                options+=(--acoustic-model "${!exp}")
            done
            split_arguments "${runtime_args}"
            ;;
        iterations)
            options+=(--acoustic-model "${main_exp}" --kmeans "${semantic_exp}")
            options+=(--recognizer "$(recognizer_named "${recognizer_names[0]}")" --folder "${2%.json}")
            [ ! -e "${datadir}/${text_train_set}/text" ] ||
                options+=(--vocabulary-text "${datadir}/${text_train_set}/text")
            split_arguments "${iterations_args}"
            ;;
        *) die "--figures has '$1'; it may have runtime and iterations" ;;
    esac
    run_one "${2%.json}.log" "measure_$1" "${options[@]}" "${arguments[@]}" --output "$2"
}

is_newer() {  # <file> <others>: is it there, and as new as all of them?
    local other
    [ -e "$1" ] || return 1
    for other in "${@:2}"; do
        [ ! "${other}" -nt "$1" ] || return 1
    done
}

record_trainings() {  # <file>: losses of all trainings, for the report and --normal-losses. Adds to `extras`.
    local folders=("${hubert_exps[@]}" "${token_recognizer_exp}" "${codec_exp:-}") found=() folder name part
    for name in "${acoustic_model_names[@]}"; do
        stages_of "${name}"
        for part in "${model_stages[@]}"; do folders+=("$(stage_dir "${name}" "${part}")"); done
    done
    folders+=("${pretrained_exp}" "${back_translation_exp}")
    for name in "${text_model_names[@]}"; do
        part=${text_experiments[${name}]}_exp
        folders+=("${!part}")
    done
    folders+=("${recognizer_exp}" "${consistency_exp}")
    for folder in "${folders[@]}"; do
        [ ! -e "${folder}/metrics.jsonl" ] || found+=("${folder}")
    done
    [ "${#found[@]}" -gt 0 ] || return 0
    extras+=("$1")
    if to_do "$1" "losses of all trainings: $1" is_newer "$1" "${found[@]/%//metrics.jsonl}"; then
        run_one "${1%.json}.log" record_trainings --expdirs "${found[@]}" \
            ${normal_losses:+--normal-losses "${normal_losses}"} --output "$1"
    fi
}

music_file() {  # <folder of extras> <set>
    echo "$1/music_$2.json"
}

measure_music() {  # <folder of extras>: do the systems' continuations keep key and tempo, on every test set? Adds to `extras`.
    local set_name system decoded
    for set_name in "${test_set_names[@]}"; do
        extras+=("$(music_file "$1" "${set_name}")") decoded=()
        for system in "${system_names[@]}"; do decoded+=("$(decode_dir "${system}" "${set_name}")"); done
        to_do "${extras[-1]}" "music on ${set_name}: ${extras[-1]}" is_newer "${extras[-1]}" "${decoded[@]/%//wav.scp}" || continue
        split_arguments "${music_args}"
        run_one "${extras[-1]%.json}.log" measure_music --data-dir "${datadir}/${set_name}" --decode-dirs "${decoded[@]}" \
            --prompt-seconds "${prompt_seconds}" --features "${ssl_source}" --layer "${semantic_layer}" \
            --reference "${datadir}/${train_set}" "${arguments[@]}" --output "${extras[-1]}"
    done
}

measure_extras() {  # Sets `extras` to the files of what was asked for.
    local folder=${main_exp}/extras${decode_tag:+_${decode_tag}} system figure name
    extras=()
    [[ ${abx} != measure || ! -e $(abx_file) ]] || extras+=("$(abx_file)")
    if [ "${detector}" = train ]; then
        [[ " ${systems} " == *" codec "* ]] ||
            die "--detector train compares with the codec round trip: add codec to --systems"
        for system in "${system_names[@]}"; do
            [ "${system}" != codec ] || continue
            extras+=("${folder}/detector_${system}.json")
            if to_do "${extras[-1]}" "detector of ${system}"; then
                in_background detect_one "${system}" "${extras[-1]}"
            fi
        done
        finish_background "detectors"
    fi
    [ "${music}" != measure ] || measure_music "${folder}"
    for name in "${acoustic_model_names[@]}"; do
        ! declare -F "${name}_extras" >/dev/null || "${name}_extras"
    done
    for figure in ${figures}; do # one after the other: they measure time
        extras+=("${folder}/${figure}.json")
        if to_do "${extras[-1]}" "figure: ${extras[-1]%.json}.png"; then
            draw_figure "${figure}" "${extras[-1]}"
        fi
    done
    record_trainings "${folder}/trainings.json"
}

pack_models() {  # What speaking needs, in one directory.
    local target=${expdir}/pack
    to_do "${target}/pack.json" "pack of the models: ${target}" || return 0
    need "${main_text_exp}/model.safetensors" 5
    split_arguments "${pack_args}"
    run_one "${expdir}/log/pack_model.log" pack_model --acoustic-model "${main_exp}" --codec "${codec_model}" \
        --kmeans "${semantic_exp}" --text-to-semantic "${main_text_exp}" --decode-config "${decode_config}" \
        --title "$(basename "${PWD}")" --results "${report}/RESULTS.md" \
        "${arguments[@]}" --output "${target}"
}
