# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# What a run has made: the last lines of every run, and --status, which goes through the stages as a run does
# but does nothing.

say_what_there_is() {  # Seconds of the stages, where the models are, how to listen and to speak.
    local name texts=() models=() folder place=${expdir}/pack what="--text 'your words'"
    if [ -e "${expdir}/timing.tsv" ]; then
        log "Seconds of the stages, all runs together: $(awk '{ seconds[$1] += $2; all += $2 }
            END {
                for (i = 0; i <= 7; i++) if (i in seconds) printf "%d: %d, ", i, seconds[i]
                print "in all: " all
            }' \
            "${expdir}/timing.tsv")"
    fi
    networks_of "${acoustic_model_names[@]}"
    for name in "${text_model_names[@]}"; do texts+=("${text_exps[${name}]}"); done
    for folder in "${semantic_exp}" "${codec_exp}" "${networks[@]}" "${texts[@]}"; do
        [[ ! -e ${folder}/model.safetensors && ! -e ${folder}/centroids.safetensors ]] ||
            models+=("${folder}")
    done
    [ "${#models[@]}" -eq 0 ] || log "Models: ${models[*]}"
    if [ -e "${report}/index.html" ]; then
        log "Listen to the systems side by side: $(realpath "${report}")/index.html"
    fi
    if [ -e "${place}/pack.json" ]; then
        log "Speak on a page in the browser: python3 -m soundstorm.bin.serve --model $(realpath "${place}")"
        [ -e "${main_text_exp}/model.safetensors" ] || what="--convert speech.wav"
        log "Speak with these models: python3 -m soundstorm.bin.speak" \
            "--model $(realpath "${place}") ${what} --prompt a_voice.wav --consent" \
            "--output words.wav"
    elif [[ -e ${main_exp}/model.safetensors && -e ${main_text_exp}/model.safetensors ]]; then
        log "To speak with these models, pack them: ./run.sh --stage 7 --pack true"
    fi
}

"${wants_status}" || return 0

export SOUNDSTORM_READ_ONLY=1 # nor do the checks of data directories write down that they were in order
mapfile -t running < <("${python}" utils/progress.py --running "${expdir}" "${dumpdir}")

doing() {  # <number> <title>: as in jobs.sh, but stage 0, whose work is no list of files, is told here
    local set_name
    [ "${stage}" -le "$1" ] && [ "$1" -le "${stop_stage}" ] || return 1
    printf 'Stage %s: %s\n' "$1" "$2"
    case $1 in
        0)
            for set_name in "${all_sets[@]}"; do
                to_do "${datadir}/${set_name}" "${datadir}/${set_name}" is_prepared "${set_name}" || true
            done
            return 1
            ;;
        5)
            [ -z "${text_to_semantic_pretrain}" ] || pretrain_on_tokens
            [ -z "${back_translation}" ] || back_translate
            ;;
    esac
}

is_prepared() {  # <set>
    made_before "$1" && looked_at "$1" && validate_set "$1" >/dev/null 2>&1
}

to_do() {  # <output> <what> [<check>]: says how that stands; nothing is to do
    local state="to come" line place log far=""
    place=$(dirname "$1")
    for line in "${running[@]}"; do
        log=${line%%$'\t'*}
        # Logs lie beside what they are of, or in log/ there, or one level up, as those of scores do.
        if [[ ${log} == "${1%.json}".*log || ${log} == "${place}"/log/* ||
            ${log} == "$(dirname "${place}")"/log/* ]]; then
            state=running far=": ${line#*$'\t'}"
        fi
    done
    ! is_done "$@" || state="done" far=""
    printf '  %-8s %s%s\n' "${state}" "$2" "${far}"
    return 1
}

need() { :; }

done_with_stage() { :; }

# Nothing that is left starts anything; should that change, it is a fault.
launch() { die "--status was about to run $3"; }

in_background() { die "--status was about to run $*"; }
