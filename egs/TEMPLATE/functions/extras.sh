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
    options=(--data-dir "${data}" --features mfcc --features "${ssl_source}@${semantic_layer}" --kmeans "${semantic_exp}")
    [ ! -e "${mfcc_exp}/centroids.safetensors" ] || options+=(--kmeans "${mfcc_exp}")
    [ "${codec}" != train ] || options+=(--codec "${codec_exp}")
    split_arguments "${abx_args}"
    options+=(--acoustic "${data}/acoustic.scp" "${arguments[@]}")
    measure "$(abx_file)" "ABX errors of all tokens on ${data}: $(abx_file)" measure_abx "${options[@]}"
}

measure() {  # <file> <what> <front> <options>: unless the file was made by these options, and after what they name
    local record=${1%.json}.options
    to_do "$1" "$2" made_by "${record}" "$1" "${@:4}" || return 0
    run_one "${1%.json}.log" "${@:3}" --output "$1" || return
    remember "${record}" "${@:4}"
}

detector_options() {  # <system>: sets `options`: can a classifier tell it from recordings, over all test sets together?
    local set_name sets=() real=() generated=()
    for set_name in "${test_set_names[@]}"; do
        sets+=("${datadir}/${set_name}")
        real+=("$(decode_dir codec "${set_name}")")
        generated+=("$(decode_dir "$1" "${set_name}")")
    done
    split_arguments "${detector_args}"
    options=(--config "${detector_config}" --data-dir "${sets[@]}" --real "${real[@]}" --generated "${generated[@]}"
        "${arguments[@]}")
}

detect_one() {  # <file> <options>
    run_jobs 1 "${1%.json}.${JOB}.log" detect "${@:2}" --expdir "${1%.json}" --output "$1" || return
    remember "${1%.json}.options" "${@:2}"
}

draw_figure() {  # <runtime or iterations> <file>
    local data=${datadir}/${test_set_names[0]} options name exp
    options=(--config "${decode_config}" --data-dir "${data}" --codec "${codec_model}")
    case "$1" in
        runtime)
            for name in "${text_model_names[@]}"; do
                exp=${text_exps[${name}]}
                [ ! -e "${exp}/model.safetensors" ] || options+=(--text-to-semantic "${exp}")
            done
            for name in "${acoustic_model_names[@]}"; do
                ! reads_text "${name}" || continue
                exp=${name}_exp
                options+=(--acoustic-model "${!exp}")
            done
            split_arguments "${runtime_args}"
            ;;
        iterations)
            # After a prompt, as the paper's.
            options+=(--acoustic-model "${main_exp}" --prompt-seconds "${prompt_seconds}" --kmeans "${semantic_exp}")
            options+=(--recognizer "$(recognizer_named "${recognizer_names[0]}")" --folder "${2%.json}")
            [ ! -e "${datadir}/${text_train_set}/text" ] ||
                options+=(--vocabulary-text "${datadir}/${text_train_set}/text")
            split_arguments "${iterations_args}"
            ;;
        *) die "--figures has '$1'; it may have runtime and iterations" ;;
    esac
    options+=("${arguments[@]}")
    [[ $1 != iterations || ${wants_status} == true ]] || made_by "${2%.json}.options" "$2" "${options[@]}" ||
        go_on_in "${2%.json}" "${options[@]}"
    measure "$2" "figure: ${2%.json}.png" "measure_$1" "${options[@]}"
}

record_trainings() {  # <file>: losses of all trainings, for the report and --normal-losses. Adds to `extras`.
    local texts=() found=() folder name
    networks_of "${acoustic_model_names[@]}"
    for name in "${text_model_names[@]}"; do texts+=("${text_exps[${name}]}"); done
    for folder in "${hubert_exps[@]}" "${token_recognizer_exp}" "${codec_exp:-}" "${networks[@]}" "${pretrained_exp}" \
        "${back_translation_exp}" "${texts[@]}" "${recognizer_exp}" "${consistency_exp}"; do
        [ ! -e "${folder}/metrics.jsonl" ] || found+=("${folder}")
    done
    [ "${#found[@]}" -gt 0 ] || return 0
    extras+=("$1")
    measure "$1" "losses of all trainings: $1" record_trainings --expdirs "${found[@]}" \
        ${normal_losses:+--normal-losses "${normal_losses}"}
}

music_file() {  # <folder of extras> <set>
    echo "$1/music_$2.json"
}

measure_music() {  # <folder of extras>: do the systems' continuations keep key and tempo, on every test set? Adds to `extras`.
    local set_name system decoded
    for set_name in "${test_set_names[@]}"; do
        extras+=("$(music_file "$1" "${set_name}")") decoded=()
        for system in "${system_names[@]}"; do decoded+=("$(decode_dir "${system}" "${set_name}")"); done
        split_arguments "${music_args}"
        measure "${extras[-1]}" "music on ${set_name}: ${extras[-1]}" measure_music --data-dir "${datadir}/${set_name}" \
            --decode-dirs "${decoded[@]}" --prompt-seconds "${prompt_seconds}" --features "${ssl_source}" \
            --layer "${semantic_layer}" --reference "${datadir}/${train_set}" "${arguments[@]}"
    done
}

measure_extras() {  # Sets `extras` to the files of what was asked for.
    local folder=${main_exp}/extras${decode_tag:+_${decode_tag}} system figure name options
    extras=()
    [[ ${abx} != measure || ! -e $(abx_file) ]] || extras+=("$(abx_file)")
    if [ "${detector}" = train ]; then
        [[ " ${systems} " == *" codec "* ]] ||
            die "--detector train compares with the codec round trip: add codec to --systems"
        for system in "${system_names[@]}"; do
            [ "${system}" != codec ] || continue
            extras+=("${folder}/detector_${system}.json")
            detector_options "${system}"
            ! to_do "${extras[-1]}" "detector of ${system}" made_by "${extras[-1]%.json}.options" "${extras[-1]}" "${options[@]}" ||
                in_background detect_one "${extras[-1]}" "${options[@]}"
        done
        finish_background "detectors"
    fi
    [ "${music}" != measure ] || measure_music "${folder}"
    for name in "${acoustic_model_names[@]}"; do
        ! declare -F "${name}_extras" >/dev/null || "${name}_extras"
    done
    for figure in ${figures}; do # one after the other: they measure time
        extras+=("${folder}/${figure}.json")
        draw_figure "${figure}" "${extras[-1]}"
    done
    record_trainings "${folder}/trainings.json"
}

pack_models() {  # What speaking needs, in one directory. That of other models is moved aside.
    local target=${expdir}/pack old options
    options=(--acoustic-model "${main_exp}" --codec "${codec_model}" --kmeans "${semantic_exp}" --decode-config "${decode_config}")
    [ ! -e "${main_text_exp}/model.safetensors" ] || options+=(--text-to-semantic "${main_text_exp}")
    split_arguments "${pack_args}"
    options+=("${arguments[@]}")
    to_do "${target}/pack.json" "pack of the models: ${target}" \
        made_by "${target}.options" "${target}/pack.json" "${options[@]}" || return 0
    if [ -e "${target}/pack.json" ]; then
        old=${target}_$(date -r "${target}/pack.json" +%Y%m%d_%H%M%S)
        mv "${target}" "${old}"
        log "    the one that was there, of other models: ${old}"
    fi
    run_one "${expdir}/log/pack_model.log" pack_model "${options[@]}" \
        --title "$(basename "${PWD}")" --results "${report}/RESULTS.md" --output "${target}" || return
    remember "${target}.options" "${options[@]}"
}
