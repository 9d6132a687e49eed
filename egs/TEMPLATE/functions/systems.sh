# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# Systems that are decoded in stage 6 and scored in stage 7.

decode_one() {  # <system> <set> <directory>: synthesises one set by one system
    local system=$1 data=${datadir}/$2 directory=$3 source=${1%_prompted} prompt=0
    local options=(--config "${decode_config}" --codec "${codec_model}")
    [ "${system}" = "${source}" ] || prompt=${prompt_seconds}
    case "${source}" in
        codec) options+=(--from codec) ;;
        semantic) options+=(--from semantic --soundstorm "${soundstorm_exp}") ;;
        greedy) options+=(--from semantic --soundstorm "${soundstorm_exp}" --decode.iterations 1) ;;
        text) options+=(--from text --soundstorm "${soundstorm_exp}" --text-to-semantic "${text_to_semantic_exp}") ;;
        *) die "--systems has '${system}'; it may have codec greedy semantic text, and each but codec with _prompted" ;;
    esac
    split_arguments "${decode_args}"
    run_jobs 1 "${directory}/log/synthesize.JOB.log" synthesize --data-dir "${data}" "${options[@]}" \
        --prompt-seconds "${prompt}" "${arguments[@]}" --output "${directory}"
}

entry_of() {  # <table> <utterance>: the utterance's entry in data/*/<table>
    awk -v key="$2" '$1 == key { sub(/^[^ ]+ /, ""); print; exit }' "${datadir}"/*/"$1"
}

speak_dialogue() {  # <directory>: the script, in the voices of the prompts
    local options=() pair wav words prompts
    read -ra prompts <<<"${dialogue_prompts}"
    for pair in "${prompts[@]}"; do
        wav=$(entry_of wav.scp "${pair#*=}")
        [ -n "${wav}" ] || die "--dialogue-prompts: no utterance '${pair#*=}' in ${datadir}/*/wav.scp"
        words=$(entry_of text "${pair#*=}")
        options+=(--prompt "${pair%%=*}=${wav}" ${words:+--prompt-text "${pair%%=*}=${words}"})
    done
    split_arguments "${dialogue_args}"
    run_jobs 1 "$1/log/synthesize.JOB.log" synthesize_dialogue --script "${dialogue_script}" "${options[@]}" \
        --config "${decode_config}" --codec "${codec_model}" --kmeans "${semantic_exp}" \
        --soundstorm "${soundstorm_exp}" --text-to-semantic "${text_to_semantic_exp}" \
        "${arguments[@]}" --output "$1"
}

decode_dir() {  # <system> <set>
    echo "${soundstorm_exp}/decode${decode_tag:+_${decode_tag}}_$1/$2"
}

score_file() {  # <system> <set>
    echo "${soundstorm_exp}/score${decode_tag:+_${decode_tag}}/$2/$1.json"
}

title_of() {  # <system>: its name in the table
    case "$1" in
        original) echo "Original" ;;
        codec) echo "Codec round trip" ;;
        greedy*) echo "Level-wise greedy${1#greedy}" ;;
        semantic*) echo "SoundStorm${1#semantic}" ;;
        text*) echo "SoundStorm from text${1#text}" ;;
    esac | sed "s/_prompted/ (${prompt_seconds} s prompt)/"
}

score_one() {  # <system> <set>: scores what decode_one made; "original" are the recordings
    local options=(--config "${score_config}" --data-dir "${datadir}/$2" --system "$(title_of "$1")") name output
    options+=(--speaker "${speaker_model}")
    # Unprompted systems are compared with the same part of the recording as prompted ones.
    [ "${prompt_seconds}" = 0 ] || options+=(--score.prompt-seconds "${prompt_seconds}")
    output=$(score_file "$1" "$2")
    [ "$1" = original ] || options+=(--decode-dir "$(decode_dir "$1" "$2")")
    [ "${consistency}" != train ] || options+=(--consistency "${consistency_exp}")
    for name in "${recognizer_names[@]}"; do
        case "${name}" in
            train) name=${recognizer_exp} ;;
            closed:train) name=closed:${recognizer_exp} ;;
        esac
        options+=(--recognizer "${name}")
    done
    [ ! -e "${datadir}/${text_train_set}/text" ] || options+=(--bigram-text "${datadir}/${text_train_set}/text")
    [ "${ngpu}" -eq 0 ] || options+=(--device cuda)
    split_arguments "${score_args}"
    run_jobs 1 "${output%.json}.JOB.log" score "${options[@]}" "${arguments[@]}" --output "${output}"
}

report_is_new() {  # <file of the report>: is it newer than every score?
    local score
    for score in "${scores[@]}"; do
        [ "$1" -nt "${score}" ] || return 1
    done
    [ -z "${results}" ] || [ -e "${results}" ]
}
