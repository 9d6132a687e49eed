# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# Baselines that are trained in stage 4, systems that are decoded in stage 6 and scored in stage 7.

train_baseline() {  # <name>: on the tokens SoundStorm is trained on
    local part set_name parts=(coarse fine)
    [ "$1" = audiolm ] || parts=(semantic)
    for part in "${parts[@]}"; do
        to_do "${audiolm_exp}_${part}/model.safetensors" "AudioLM, ${part} stage: ${audiolm_exp}_${part}" || continue
        for set_name in "${train_set}" "${valid_set}"; do
            need "${datadir}/${set_name}/semantic.scp" 1
            need "${datadir}/${set_name}/acoustic.scp" 3
        done
        split_arguments "${audiolm_args}"
        run_training "${audiolm_exp}_${part}/log/train.log" train_audiolm --stage "${part}" \
            --config "${audiolm_config}" --train-data "${datadir}/${train_set}" --valid-data "${datadir}/${valid_set}" \
            --codec "${codec_model}" --expdir "${audiolm_exp}_${part}" "${arguments[@]}"
    done
}

decode_one() {  # <system> <set> <directory>: synthesises one set by one system
    local system=$1 data=${datadir}/$2 directory=$3 source=${1%_prompted} prompt=0
    local options=(--config "${decode_config}" --codec "${codec_model}")
    [ "${system}" = "${source}" ] || prompt=${prompt_seconds}
    case "${source}" in
        codec) options+=(--from codec) ;;
        semantic) options+=(--from semantic --soundstorm "${soundstorm_exp}") ;;
        greedy) options+=(--from semantic --soundstorm "${soundstorm_exp}" --decode.iterations 1) ;;
        text) options+=(--from text --soundstorm "${soundstorm_exp}" --text-to-semantic "${text_to_semantic_exp}") ;;
        audiolm) options+=(--from semantic --audiolm "${audiolm_exp}_coarse" "${audiolm_exp}_fine") ;;
        *)
            die "--systems has '${system}'; it may have codec greedy semantic text, with --baselines audiolm," \
                "and each but codec with _prompted"
            ;;
    esac
    split_arguments "${decode_args}"
    run_jobs 1 "${directory}/log/synthesize.${JOB}.log" synthesize --data-dir "${data}" "${options[@]}" \
        --prompt-seconds "${prompt}" "${arguments[@]}" --output "${directory}"
}

place_of() {  # <option> <utterance, or a set: its first one>: <directory of its set>/<utterance>
    local table
    if [ -s "${datadir}/$2/utt2spk" ]; then
        echo "${datadir}/$2/$(head -n 1 "${datadir}/$2/utt2spk" | cut -d ' ' -f 1)"
        return
    fi
    table=$(awk -v key="$2" '$1 == key { print FILENAME; exit }' "${datadir}"/*/utt2spk)
    [ -n "${table}" ] || die "$1: no utterance '$2' in ${datadir}/*/utt2spk"
    echo "${table%/utt2spk}/$2"
}

dialogue_dir() {
    local name
    name=$(basename "${dialogue_script%.*}")
    echo "${soundstorm_exp}/dialogue/${name}"
}

speak_dialogue() {  # <directory>: the script, in the voices of the prompts
    local options=() pair prompts place
    read -ra prompts <<<"${dialogue_prompts}"
    for pair in "${prompts[@]}"; do
        place=$(place_of --dialogue-prompts "${pair#*=}")
        options+=(--prompt-utterance "${pair%%=*}=${place}")
    done
    if [ -n "${dialogue_exchange}" ]; then
        place=$(place_of --dialogue-exchange "${dialogue_exchange}")
        options+=(--exchange-utterance "${place}")
    fi
    split_arguments "${dialogue_args}"
    run_jobs 1 "$1/log/synthesize.${JOB}.log" synthesize_dialogue --script "${dialogue_script}" "${options[@]}" \
        --config "${decode_config}" --codec "${codec_model}" --kmeans "${semantic_exp}" \
        --soundstorm "${soundstorm_exp}" --text-to-semantic "${text_to_semantic_exp}" \
        "${arguments[@]}" --output "$1"
}

decode_dir() {  # <system> <set>
    local exp=${soundstorm_exp}
    [[ $1 != audiolm* ]] || exp=${audiolm_exp}
    echo "${exp}/decode${decode_tag:+_${decode_tag}}_$1/$2"
}

score_file() {  # <system> <set>
    local exp=${soundstorm_exp}
    [[ $1 != audiolm* ]] || exp=${audiolm_exp}
    echo "${exp}/score${decode_tag:+_${decode_tag}}/$2/$1.json"
}

title_of() {  # <system>: its name in the table
    case "$1" in
        original) echo "Original" ;;
        codec) echo "Codec round trip" ;;
        greedy*) echo "Level-wise greedy${1#greedy}" ;;
        semantic*) echo "SoundStorm${1#semantic}" ;;
        audiolm*) echo "AudioLM${1#audiolm}" ;;
        text*) echo "SoundStorm from text${1#text}" ;;
    esac | sed "s/_prompted/ (${prompt_seconds} s prompt)/"
}

recognizer_named() {  # <name>: as score has it
    case "$1" in
        train) echo "${recognizer_exp}" ;;
        closed:train) echo "closed:${recognizer_exp}" ;;
        *) echo "$1" ;;
    esac
}

score_some() {  # <log> <system> <set>...: scores what decode_one made; "original" are the recordings
    local log=$1 name options=(--config "${score_config}" --speaker "${speaker_model}")
    local titles=() sets=() decodings=() outputs=()
    shift
    while [ $# -gt 0 ]; do
        titles+=("$(title_of "$1")")
        sets+=("${datadir}/$2")
        [ "$1" = original ] && decodings+=(none) || decodings+=("$(decode_dir "$1" "$2")")
        outputs+=("$(score_file "$1" "$2")")
        shift 2
    done
    options+=(--system "${titles[@]}" --data-dir "${sets[@]}" --decode-dir "${decodings[@]}" --output "${outputs[@]}")
    # Unprompted systems are compared with the same part of the recording as prompted ones.
    [ "${prompt_seconds}" = 0 ] || options+=(--score.prompt-seconds "${prompt_seconds}")
    [ "${consistency}" != train ] || options+=(--consistency "${consistency_exp}")
    for name in "${recognizer_names[@]}"; do
        options+=(--recognizer "$(recognizer_named "${name}")")
    done
    [ ! -e "${datadir}/${text_train_set}/text" ] || options+=(--bigram-text "${datadir}/${text_train_set}/text")
    [ "${ngpu}" -eq 0 ] || options+=(--device cuda)
    split_arguments "${score_args}"
    run_jobs 1 "${log}" score "${options[@]}" "${arguments[@]}"
}

score_all() {  # Sets `scores` to the score files of every system on every test set, and makes those that are missing.
    local set_name system missing=() part parts index words job folder
    scores=()
    for set_name in "${test_set_names[@]}"; do
        for system in original "${system_names[@]}"; do
            scores+=("$(score_file "${system}" "${set_name}")")
            ! to_do "${scores[-1]}" "score of ${system} on ${set_name}" || missing+=("${system} ${set_name}")
        done
    done
    # Loading the models takes longer than a small set: as many processes as may run at once, each with its share.
    folder=${soundstorm_exp}/score${decode_tag:+_${decode_tag}}/log
    parts=$((${#missing[@]} < nj ? ${#missing[@]} : nj))
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

report_is_new() {  # <file of the report>: is it newer than everything in it?
    local score
    for score in "${scores[@]}" "${extras[@]}"; do
        [ "$1" -nt "${score}" ] || return 1
    done
    [ -z "${dialogue_script}" ] || [ "$1" -nt "$(dialogue_dir)/dialogue.json" ] || return 1
    [ -z "${results}" ] || [ -e "${results}" ]
}
