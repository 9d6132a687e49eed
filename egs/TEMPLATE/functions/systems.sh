# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# Acoustic models that are trained in stage 4, systems that are decoded in stage 6 and scored in stage 7.

stage_dir() {  # <acoustic model> <stage, or nothing>: the experiment directory of that network
    local exp=$1_exp
    # Earlier versions had stages beside each other.
    if [ -n "$2" ] && [ -e "${!exp}_$2/config.yaml" ] && [ ! -e "${!exp}/$2/config.yaml" ]; then
        echo "${!exp}_$2"
    else
        echo "${!exp}${2:+/$2}"
    fi
}

stages_of() {  # <acoustic model>: sets `model_stages` to its networks; a single empty word where it is one network
    local stages=$1_stages
    read -ra model_stages <<<"${!stages:-}"
    [ "${#model_stages[@]}" -gt 0 ] || model_stages=("")
}

train_acoustic_model() {  # <acoustic model>: every network of it
    local config=$1_config args=$1_args part expdir set_name sets=("${train_set}" "${valid_set}")
    ! reads_text "$1" || sets=("${text_train_set}" "${text_valid_set}")
    stages_of "$1"
    for part in "${model_stages[@]}"; do
        expdir=$(stage_dir "$1" "${part}")
        to_do "${expdir}/model.safetensors" "training: ${expdir}" || continue
        for set_name in "${sets[@]}"; do need_tokens "${set_name}" "$1"; done
        ! reads_text "$1" || need_text "$1"
        split_arguments "${!args}"
        ! "${has_tokens}" || arguments=(--codec "${codec_model}" "${arguments[@]}")
        run_training "${expdir}/log/train.log" "train_${variant_of[$1]:-$1}" ${part:+--stage "${part}"} --config "${!config}" \
            --train-data "${datadir}/${sets[0]}" --valid-data "${datadir}/${sets[1]}" \
            --expdir "${expdir}" "${arguments[@]}"
    done
}

need_tokens() {  # <set> [<acoustic model>]: its tokens must be there, or where there are none what stage 0 makes
    if "${has_tokens}" && ! reads_text "${2:-none}"; then
        need_semantic_tokens "$1"
        need "${datadir}/$1/acoustic.scp" 3
    else
        need "${datadir}/$1/utt2dur" 0
    fi
}

networks_of() {  # <acoustic model>...: sets `networks` to the experiment directories of all their networks
    local name part
    networks=()
    for name in "$@"; do
        stages_of "${name}"
        for part in "${model_stages[@]}"; do networks+=("$(stage_dir "${name}" "${part}")"); done
    done
}

need_acoustic_model() {  # <acoustic model>: all its networks must be trained
    local folder
    networks_of "$1"
    for folder in "${networks[@]}"; do need "${folder}/model.safetensors" 4; done
}

is_acoustic_model_trained() {  # <acoustic model>: all its networks
    local folder
    networks_of "$1"
    for folder in "${networks[@]}"; do [ -e "${folder}/model.safetensors" ] || return; done
}

reads_text() {  # <acoustic model>: does it make speech of text itself, without tokens?
    local it=$1_reads_text
    [ "${!it:-false}" = true ]
}

need_continuation() {  # AudioLM's first stage, which continues semantic tokens
    [ -n "${audiolm_exp}" ] ||
        die "--systems has a continuation, which AudioLM's first stage writes: add audiolm to --acoustic-models," \
            "semantic to --audiolm-stages, and run stage 4"
    need "$(stage_dir audiolm semantic)/model.safetensors" 4
}

parse_system() {  # <system>: sets system_model (empty: the codec), system_source (words: text that the model itself reads),
    # system_text_exp, system_prompt, system_options, system_stage
    local rest=${1%_prompted} name
    system_model="" system_source=semantic system_text_exp="" system_prompt=0 system_options=() system_stage=""
    [ "${rest}" = "$1" ] || system_prompt=${prompt_seconds}
    if [ "$1" = codec ]; then
        "${has_tokens}" || die "--systems has 'codec', but ${acoustic_models} has no tokens; leave it out"
        system_source=codec
        return
    fi
    if [[ ${rest} == *_text ]]; then
        system_source=text system_text_exp=${main_text_exp}
        rest=${rest%_text}
        for name in "${text_model_names[@]}"; do
            [[ ${rest} == *_"${name}" ]] || continue
            system_text_exp=${text_exps[${name}]} rest=${rest%_"${name}"}
            break
        done
    elif [[ ${rest} == *_continued ]]; then
        system_source=continuation system_prompt=${prompt_seconds}
        rest=${rest%_continued}
    fi
    if [ -n "${variant_stage[${rest}]:-}" ]; then
        system_stage=${variant_stage[${rest}]}
        rest=${rest%_*}
    elif [ -n "${variant_options[${rest}]:-}" ]; then
        read -ra system_options <<<"${variant_options[${rest}]}"
        for name in "${acoustic_model_names[@]}"; do
            [[ ${rest} != "${name}"_* ]] || rest=${name}
        done
    fi
    for name in "${acoustic_model_names[@]}"; do
        [ "${rest}" != "${name}" ] || system_model=${name}
    done
    [ -n "${system_model}" ] ||
        die "--systems has '$1'; it may have codec and, for each of --acoustic-models and --acoustic-variants" \
            "(${acoustic_model_names[*]})," \
            "<model>, <model>_text and, for each of --text-to-semantic-models (${text_to_semantic_models})," \
            "<model>_<one of them>_text, each with _prompted, <model>_continued; variants:" \
            "${!variant_options[*]} ${!variant_stage[*]}"
    if reads_text "${system_model}"; then
        [ "${system_source}" != text ] || die "--systems has '$1'; ${system_model} reads text anyway, leave _text out"
        system_source=words
    fi
}

exp_of() {  # <system>: experiment directory that its results go to; codec and originals lie with the first model
    parse_system "$1"
    local exp=${system_model:-${acoustic_model_names[0]}}_exp
    echo "${!exp}"
}

decode_options() {  # <system> <set>: sets `options`, and `record` to these and the settings
    options=()
    parse_system "$1"
    ! "${has_tokens}" || options+=(--codec "${codec_model}")
    options+=(--from "${system_source/words/text}" --prompt-seconds "${system_prompt}")
    [ -z "${system_model}" ] ||
        options+=(--acoustic-model "$(stage_dir "${system_model}" "${system_stage}")" "${system_options[@]}")
    [ -z "${variant_of[${system_model:-none}]:-}" ] ||
        options+=(--variant "${system_model#"${variant_of[${system_model}]}"_}")
    [ "${system_source}" != continuation ] || options+=(--continuation "$(stage_dir audiolm semantic)")
    [ "${system_source}" != text ] || options+=(--text-to-semantic "${system_text_exp}")
    [[ ${system_prompt} == 0 || ${has_tokens} == false ]] || options+=(--kmeans "${semantic_exp}") # encodes the prompts
    split_arguments "${decode_args}"
    options+=(--data-dir "${datadir}/$2" "${arguments[@]}")
    [ "${#arguments[@]}" -eq 0 ] || options+=("${system_options[@]}") # once more, as they hold whatever those say
    # By content, as copying a recipe makes files new.
    record=("${options[@]}" "$([ "${system_source}" = codec ] || echo "settings $(cksum <"${decode_config}")")")
}

decode_one() {  # <system> <set> <directory> <shares>: synthesises one set by one system, in so many jobs
    local options record table words=(synthesize --config "${decode_config}" --output "$3")
    decode_options "$1" "$2"
    for table in acoustic.scp semantic.scp utt2dur text; do # what shares are of
        [ ! "${datadir}/$2/${table}" -nt "$3/options.txt" ] || rm -f "$3/options.txt"
    done
    go_on_in "$3" "${record[@]}"
    if [ "$4" -eq 1 ]; then
        run_jobs 1 "$3/log/synthesize.${JOB}.log" "${words[@]}" "${options[@]}"
    else
        in_shares "$4" "$3/log/synthesize.${JOB}.log" "$3/share.${JOB}/wav.scp" "${words[@]}" "${options[@]}" || return
        front 1 "${words[@]}" "${options[@]}" --merge "$4"
        interruptible "${front_command[@]}"
    fi
}

warn_of_old_speech() {  # <system> <set> <directory>: it stays, as everything that was made does
    local options record
    decode_options "$1" "$2"
    [ ! -e "$3/options.txt" ] || made_by "$3/options.txt" "$3/options.txt" "${record[@]}" ||
        log "  WARNING: $3 was decoded with other options or by models that have been trained again since, and stays as it" \
            "is; to decode it again, rm -r $(printf '%q' "$3") and run the same command; to keep both, give the new one" \
            "a name: --decode-tag <name>"
}

place_of() {  # <option> <utterance, or a set: its first one>: <directory of its set>/<utterance>
    "${python}" utils/data_dir_tool.py "$1" "${datadir}" "$2"
}

dialogue_dir() {
    local name
    name=$(basename "${dialogue_script%.*}")
    echo "${main_exp}/dialogue/${name}"
}

dialogue_options() {  # Sets `options` to the script and the models that speak it, `record` to these and the voices.
    split_arguments "${dialogue_args}"
    options=(--script "${dialogue_script}" --config "${decode_config}" --codec "${codec_model}" --kmeans "${semantic_exp}"
        --acoustic-model "${main_exp}" --text-to-semantic "${main_text_exp}" "${arguments[@]}")
    record=("${dialogue_prompts}" "${dialogue_exchange}" "${options[@]}")
}

speak_dialogue() {  # <directory>: the script, in the voices of the prompts
    local voices=() pair prompts place options record
    read -ra prompts <<<"${dialogue_prompts}"
    for pair in "${prompts[@]}"; do
        place=$(place_of --dialogue-prompts "${pair#*=}")
        voices+=(--prompt-utterance "${pair%%=*}=${place}")
    done
    if [ -n "${dialogue_exchange}" ]; then
        place=$(place_of --dialogue-exchange "${dialogue_exchange}")
        voices+=(--exchange-utterance "${place}")
    fi
    dialogue_options
    rm -f "$1/dialogue.json" # of another script, other voices or models
    run_jobs 1 "$1/log/synthesize.${JOB}.log" synthesize_dialogue "${voices[@]}" "${options[@]}" --output "$1" || return
    remember "$1/options.txt" "${record[@]}"
}

decode_dir() {  # <system> <set>
    local exp
    exp=$(exp_of "$1") || exit
    echo "${exp}/decode${decode_tag:+_${decode_tag}}_$1/$2"
}

score_file() {  # <system, or original> <set>
    local exp=${main_exp}
    [ "$1" = original ] || exp=$(exp_of "$1") || exit
    echo "${exp}/score${decode_tag:+_${decode_tag}}/$2/$1.json"
}

recognizer_named() {  # <name>: as score has it
    case "$1" in
        train) echo "${recognizer_exp}" ;;
        closed:train) echo "closed:${recognizer_exp}" ;;
        *) echo "$1" ;;
    esac
}

score_options() {  # <system> <set>...: sets `options` to score what decode_one made; "original" are the recordings
    local name sets=() decodings=() outputs=()
    options=(--config "${score_config}" --speaker "${speaker_model}")
    while [ $# -gt 0 ]; do
        sets+=("${datadir}/$2")
        [ "$1" = original ] && decodings+=(none) || decodings+=("$(decode_dir "$1" "$2")")
        outputs+=("$(score_file "$1" "$2")")
        shift 2
    done
    options+=(--data-dir "${sets[@]}" --decode-dir "${decodings[@]}" --output "${outputs[@]}")
    # Unprompted systems are compared with the same part of the recording as prompted ones.
    [ "${prompt_seconds}" = 0 ] || options+=(--score.prompt-seconds "${prompt_seconds}")
    [ "${consistency}" != train ] || options+=(--consistency "${consistency_exp}")
    for name in "${recognizer_names[@]}"; do
        options+=(--recognizer "$(recognizer_named "${name}")")
    done
    [ ! -e "${datadir}/${text_train_set}/text" ] || options+=(--vocabulary-text "${datadir}/${text_train_set}/text")
    [ "${ngpu}" -eq 0 ] || options+=(--device cuda)
    split_arguments "${score_args}"
    options+=("${arguments[@]}")
}

score_some() {  # <log> <system> <set>...
    local options
    score_options "${@:2}"
    run_jobs 1 "$1" score "${options[@]}"
}

score_shares() {  # <log> <system> <set>: measures the utterances in jobs side by side, for score_some to find
    local jobs options
    jobs=$(jobs_for "${datadir}/$3/utt2spk")
    [ "${jobs}" -gt 1 ] || return 0
    score_options "$2" "$3"
    in_shares "${jobs}" "$1.${jobs}.${JOB}.log" "$(score_file "$2" "$3").share${JOB}" score "${options[@]}"
}

score_all() {  # Sets `scores` to the score files of every system on every test set; makes the missing and outdated ones.
    local set_name system rows=() options outdated missing=() part parts index words job folder
    scores=()
    for set_name in "${test_set_names[@]}"; do
        for system in original "${system_names[@]}"; do rows+=("${system}" "${set_name}"); done
    done
    # Another recogniser, other settings or decodings need other scores; score knows what those that are there are of.
    score_options "${rows[@]}"
    front 1 score "${options[@]}" --dry-run
    outdated=$("${front_command[@]}") || die "asking which scores are missing failed; the message above says why"
    for ((index = 0; index < ${#rows[@]}; index += 2)); do
        system=${rows[index]} set_name=${rows[index + 1]}
        scores+=("$(score_file "${system}" "${set_name}")")
        ! to_do "${scores[-1]}" "score of ${system} on ${set_name}" is_scored "${scores[-1]}" ||
            missing+=("${system} ${set_name}")
    done
    # Loading the models takes longer than a small set: as many processes as may run at once, each with its share.
    folder=${main_exp}/score${decode_tag:+_${decode_tag}}/log
    parts=$((${#missing[@]} < nj ? ${#missing[@]} : nj))
    for ((index = 0; index < ${#missing[@]} && parts < nj; index++)); do # more jobs than systems
        read -ra words <<<"${missing[index]}"
        score_shares "${folder}/${words[1]}_${words[0]}" "${words[@]}"
    done
    for ((part = 0; part < parts; part++)); do
        job=()
        for ((index = part; index < ${#missing[@]}; index += parts)); do
            read -ra words <<<"${missing[index]}"
            job+=("${words[@]}")
        done
        in_background score_some "${folder}/score.$((part + 1)).${JOB}.log" "${job[@]}"
    done
    finish_background "scorings"
}

is_scored() {  # <score file>: is it none of those in `outdated`?
    [[ $'\n'${outdated}$'\n' != *$'\n'"$1"$'\n'* ]]
}

is_reported() {  # <option>...: is the report made by these, and where --results wants it too?
    made_by "${report}/options.txt" "${report}/report.json" "$@" && [[ -z ${results} || -e ${results} ]]
}
