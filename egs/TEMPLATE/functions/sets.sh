# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# Data sets of a recipe: are they valid, have they tokens.

made_before() {  # <set>: has stage 0 made it, of audio as it is asked for?
    [ -s "${datadir}/$1/utt2dur" ] || return 1
    [ -z "${audio_format}" ] || head -n 1 "${datadir}/$1/wav.scp" 2>/dev/null | grep -qF " $(audio_dir)/"
}

looked_at() {  # <set>: were its recordings looked at since its tables were written?
    local data=${datadir}/$1 found=${datadir}/$1/utt2rate
    ! "${check_samples}" || found=${data}/reco2peak
    [ -s "${found}" ] && [ ! "${data}/wav.scp" -nt "${found}" ] && [ ! "${data}/segments" -nt "${found}" ]
}

audio_dir() {
    echo "${dumpdir}/audio_${audio_format}_${sample_rate}"
}

format_set() {  # <set>: brings its audio to files that all stages can read; what they replace stays in .backup
    interruptible utils/format_wav_scp.sh --nj "${nj}" --audio-format "${audio_format}" --sample-rate "${sample_rate}" \
        --allow-pipes "${allow_pipes}" "${datadir}/$1" "${datadir}/$1" "$(audio_dir)"
}

validate_set() {  # <set>: transcripts are checked where there are some
    split_arguments "${validate_args}"
    local options=(--no-feats "${arguments[@]}")
    [ -e "${datadir}/$1/text" ] || options+=(--no-text)
    interruptible utils/validate_data_dir.sh "${options[@]}" "${datadir}/$1"
}

need_text() {  # <experiment>: the sets that its training takes texts from must have some, or what needs it is left out
    local exp=$1_exp set_name name system others=() models=() otherwise
    case "$1" in
        token_recognizer) otherwise="take the tokens of a model that has only heard: --ssl-model pretrain" ;;
        recognizer) otherwise="count no words: --recognizer ''" ;;
        text_to_semantic | masked_text_to_semantic)
            for system in "${system_names[@]}"; do
                [[ ${system} =~ _text(_prompted)?$ ]] || others+=("${system}")
            done
            otherwise="speak from no text: --systems '${others[*]:-codec}'${dialogue_script:+ --dialogue-script ''}"
            ;;
        *)
            for name in "${acoustic_model_names[@]}"; do
                reads_text "${name}" || [ -n "${variant_of[${name}]:-}" ] || models+=("${name}")
            done
            for system in "${system_names[@]}"; do
                parse_system "${system}"
                reads_text "${system_model:-none}" || others+=("${system}")
            done
            otherwise="train none of it: --acoustic-models '${models[*]:-soundstorm}' --systems '${others[*]:-codec}'"
            ;;
    esac
    for set_name in "${text_train_set}" "${text_valid_set}"; do
        [ -e "${datadir}/${set_name}/text" ] ||
            die "${datadir}/${set_name}/text is missing, from which ${!exp} is trained; name transcribed sets by" \
                "--text-train-set and --text-valid-set, or ${otherwise}"
    done
}

need_texts_later() {  # What later stages, as far as the run goes, would find out after days of training.
    local name
    [[ ${stop_stage} -lt 1 || ${ssl_model} != recognizer || -e ${ssl_source#recognizer:}/model.safetensors ]] ||
        need_text token_recognizer
    for name in "${acoustic_model_names[@]}"; do
        [ "${stop_stage}" -ge 4 ] || break
        ! reads_text "${name}" || is_acoustic_model_trained "${name}" || need_text "${name}"
    done
    if [ "${stop_stage}" -ge 5 ] && needs_text_models; then
        for name in "${text_model_names[@]}"; do
            is_trained "${text_exps[${name}]}" || need_text "${text_experiments[${name}]}"
        done
    fi
    [[ ${stop_stage} -lt 7 || ! " ${recognizer} " =~ [\ :]train\  || -e ${recognizer_exp}/model.safetensors ]] ||
        need_text recognizer
}

token_archive() {  # <semantic|acoustic> <set>: where that set's tokens of the present tokenizer lie
    local tag=$1_archive
    echo "${dumpdir}/${!tag}/$2"
}

has_tokens() {  # <semantic|acoustic> <set>: are the set's tokens there, whole, of the present tokenizer and audio?
    local scp=${datadir}/$2/$1.scp model=$1_model
    # Tokens of another tokenizer have the same name: the archive they lie in tells, or who made that. One of old versions
    # does not know its codec; one that was trained again is newer.
    [ -s "${scp}" ] && [ ! "${!model}" -nt "${scp}" ] &&
        head -n 1 "${scp}" | grep -qF " $(token_archive "$1" "")" &&
        same_tokenizer "$(maker_of "$1" "$2")" "$(tokenizer_now "$1")" &&
        damaged_tables "$2" "${scp}" >/dev/null
}

tokenizer_now() {  # <semantic|acoustic>: what tells the present one from others that are called alike
    if [ "$1" = semantic ]; then
        fingerprint_in "${semantic_exp}/kmeans.json"
    elif [ "${codec}" = train ]; then
        { cksum <"${codec_exp}/model.safetensors"; } 2>/dev/null || true
    else
        echo "${codec}"
    fi
}

maker_of() {  # <semantic|acoustic> <set>: the tokenizer of its tokens, as tokenizer_now has it
    if [ "$1" = semantic ]; then
        fingerprint_in "${datadir}/$2/semantic.json"
    else
        cat "$(token_archive acoustic "$2")/tokenizer" 2>/dev/null || true
    fi
}

same_tokenizer() {  # <one> <other>: as far as both are known
    [[ -z $1 || -z $2 || $1 == "$2" ]]
}

need_semantic_tokens() {  # <set>: its semantic tokens, by the present k-means; with a codec's, fronts look themselves
    local data=${datadir}/$1 made_by present
    need "${data}/semantic.scp" 1
    made_by=$(maker_of semantic "$1") present=$(tokenizer_now semantic)
    same_tokenizer "${made_by}" "${present}" || "${wants_status}" ||
        die "${data}/semantic.scp has the tokens of another k-means (${made_by:0:12}) than ${semantic_exp} (${present:0:12});" \
            "give the options of those tokens, or have stage 1 make the others: --stage 1 --stop-stage ${stop_stage}"
}

fingerprint_in() {  # <JSON file of a tokenizer, which may be missing>
    sed -n 's/.*"fingerprint": "\([0-9a-f]*\)".*/\1/p' "$1" 2>/dev/null || true
}

damaged_tables() {  # <set> <scp>...: prints those not all there, whole and of the set's audio; fails if there are any
    front 1 merge_tokens --check --data-dir "${datadir}/$1" "${@:2}"
    "${front_command[@]}" 2>/dev/null
}

extract_tokens() {  # <semantic|acoustic> <set> <options of the front>
    local kind=$1 data=${datadir}/$2 archive jobs part logs tokenizer keys=() parts=()
    jobs=$(jobs_for "${data}/utt2spk")
    archive=$(token_archive "$1" "$2") # whatever the jobs: what an earlier run of others made counts
    logs=${archive}/log/extract.
    for part in $(seq "${jobs}"); do
        keys+=("${archive}/keys.${part}.new")
        parts+=("${archive}/${kind}.${part}.scp")
    done
    mkdir -p "${archive}"
    # A job is done when its tokens are there, of this tokenizer, utterances and audio, whatever its log says.
    tokenizer=$(tokenizer_now "$1")
    if [ "$(cat "${archive}/tokenizer" 2>/dev/null)" != "${tokenizer}" ]; then
        rm -f "${logs}"*.log "${data}/${kind}.scp" # which would pass for this one's, were it interrupted
        echo "${tokenizer}" >"${archive}/tokenizer"
    fi
    utils/split_scp.py "${data}/utt2spk" "${keys[@]}"
    for part in $(seq "${jobs}"); do
        cmp -s "${archive}/keys.${part}.new" "${archive}/keys.${part}.scp" || rm -f "${logs}${part}.log"
        mv "${archive}/keys.${part}.new" "${archive}/keys.${part}.scp"
    done
    damaged_tables "$2" "${parts[@]}" | sed -E 's/.*\.([0-9]+)\.scp$/\1/' |
        while read -r part; do rm -f "${logs}${part}.log"; done || true
    run_jobs "${jobs}" "${logs}${JOB}.log" "extract_${kind}_tokens" --data-dir "${data}" \
        --keys "${archive}/keys.${JOB}.scp" "${@:3}" --output "${archive}/${kind}.${JOB}"
    appear "${parts[@]}"
    front 1 merge_tokens --data-dir "${data}" --output "${data}/${kind}.scp" "${parts[@]}"
    "${front_command[@]}"
}

whole_of() {  # <set>: prints the training or validation set that it is a part of, by recordings and segments; else fails
    local whole table
    for whole in "${train_set}" "${valid_set}"; do
        [[ $1 != "${train_set}" && $1 != "${valid_set}" ]] || break
        for table in wav.scp segments; do
            [[ ! -e ${datadir}/$1/${table} && ! -e ${datadir}/${whole}/${table} ]] ||
                awk 'NR == FNR { known[$0]; next } !($0 in known) { exit 1 }' \
                    "${datadir}/${whole}/${table}" "${datadir}/$1/${table}" 2>/dev/null || continue 2
        done
        echo "${whole}"
        return
    done
    return 1
}

take_tokens() {  # <semantic|acoustic> <set> <set that it is a part of>
    local archive part
    archive=$(token_archive "$1" "$2") part=${archive}/$1.1
    log "    taken from ${datadir}/$3"
    mkdir -p "${archive}"
    rm -f "${part}.summary.json" # of other tokens
    tokenizer_now "$1" >"${archive}/tokenizer"
    cp "${datadir}/$3/$1.json" "${part}.json"
    utils/filter_scp.py "${datadir}/$2/utt2spk" "${datadir}/$3/$1.scp" >"${part}.scp"
    front 1 merge_tokens --data-dir "${datadir}/$2" --output "${datadir}/$2/$1.scp" "${part}.scp"
    interruptible "${front_command[@]}"
}

extract_all_tokens() {  # <semantic|acoustic> <options of the front>: for every set that needs some and has none
    local set_name whole sets=("${semantic_sets[@]}")
    local -A wholes=() # of sets that have theirs from these, when they have their own
    [ "$1" = semantic ] || sets=("${acoustic_sets[@]}")
    for set_name in "${sets[@]}"; do
        if to_do "$(token_archive "$1" "${set_name}")/$1.scp" \
            "$1 tokens of ${set_name}: ${datadir}/${set_name}/$1.scp" has_tokens "$1" "${set_name}"; then
            if whole=$(whole_of "${set_name}"); then
                wholes[${set_name}]=${whole}
            else
                in_background extract_tokens "$1" "${set_name}" "${@:2}"
            fi
        fi
    done
    finish_background "extractions of $1 tokens"
    for set_name in "${!wholes[@]}"; do take_tokens "$1" "${set_name}" "${wholes[${set_name}]}"; done
}
