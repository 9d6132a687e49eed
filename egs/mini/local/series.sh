# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the scripts that make a series of runs of ./run.sh (run_ablations.sh, run_groups.sh, run_options.sh,
# run_systems.sh): options, and who listens; run_small.sh has its numbers of steps from here.

printf -v command '%q ' "./$(basename "$0")" "$@" # for the record
command=${command% }

take_options() {  # <names> <argument>...: options of these names set variables, all others go to the array `engine`
    local own=" $1 " name
    engine=() wants_status=false # true: every run says how it stands, and there is no table
    shift
    while [ $# -gt 0 ]; do
        case "$1" in # these have no value
            --help | -h) show_help ;;
            --status)
                wants_status=true engine+=("$1")
                shift
                continue
                ;;
        esac
        name=${1#--}
        name=${name//-/_}
        if [[ $1 == --* && ${own} == *" ${name} "* ]]; then
            . utils/parse_options.sh "${@:1:2}" # with the checks of the engine's
        else
            engine+=("${@:1:2}")
        fi
        shift $(($# < 2 ? 1 : 2))
    done
}

stand_on_run() {  # <name of the table> <test sets> [<options>]: sets `recipe`, the finished run it stands on, and `sets`
    local word script=./run.sh own=" --systems --decode-tag --soundstorm-tag --soundstorm-exp ${*:3} "
    for word in "${engine[@]}"; do
        [[ ${own} != *" ${word//_/-} "* ]] || die "${word} is what the runs of $0 have each for itself; leave it out"
    done
    : "${expdir:=$("${small}" && echo exp_small || echo exp)}"
    : "${test_sets:=$("${small}" && echo test || echo "$2")}"
    output=RESULTS_$1.md
    ! "${small}" || script=./run_small.sh output=${expdir}/RESULTS_$1.md
    recipe=("${script}" --expdir "${expdir}" --test-sets "${test_sets}")
    read -ra sets <<<"${test_sets}"
}

declare -A originals=() # by test set: the first run's scores of the recordings, which are the same for all
share_originals() {  # <score directory of the next run>
    local set_name score
    for set_name in "${sets[@]}"; do
        score=$1/${set_name}/original.json
        : "${originals[${set_name}]:=${score}}"
        if [[ ${wants_status} == false && ${originals[${set_name}]} -nt ${score} ]]; then
            mkdir -p "${score%/*}"
            cp "${originals[${set_name}]}" "${score}"
        fi
    done
}

show_help() {  # Of the script: its first lines.
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$(basename "$0")"
    echo "Options of the engine: ./run.sh --help"
    exit 0
}

listen_with() {  # <outside recogniser, or nothing> [<recogniser beside it>]: sets `recognizer`, adds to `score_args`
    recognizer=closed:train
    [ -n "$1" ] || return 0
    recognizer="$(printf '%q' "$1")${2:+ $2}"
    score_args+=" --score.text-normalizer english"
}

steps() {  # <number>: options of a training so long
    echo "--training.max-steps $1 --training.valid-every $1 --training.save-every $1"
}
