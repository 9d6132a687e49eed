# shellcheck shell=bash disable=SC2034
# Sourced by soundstorm.sh: options by the names that the version before had, which go on working in this one.

renamed_systems() {  # <systems>: prints them by their names of today
    local system
    for system in $1; do
        case "${system}" in
            greedy | text | greedy_prompted | text_prompted) printf 'soundstorm_%s ' "${system}" ;;
            semantic*) printf 'soundstorm%s ' "${system#semantic}" ;;
            *) printf '%s ' "${system}" ;;
        esac
    done
}

renamed_options() {  # <options>: sets `renamed` to them by their names of today; says which are called otherwise now
    local name value systems
    renamed=()
    while [ $# -gt 0 ]; do
        name=$1 value=${2-}
        case "${name}" in
            --hubert) name=--ssl-model ;;
            --consistency-hubert) name=--consistency-ssl-model ;;
            --systems)
                systems=$(renamed_systems "${value}")
                # shellcheck disable=SC2086  # compared word by word: systems may stand in several lines
                [ "${systems}" = "$(printf '%s ' ${value})" ] || value=${systems% }
                ;;
            --baselines)
                name=--acoustic-models
                [[ " ${value} " != *" audiolm_semantic "* ]] || renamed+=(--audiolm-stages \
                    "semantic$([[ " ${value} " != *" audiolm "* ]] || echo " coarse fine")")
                value="soundstorm${value:+ audiolm}"
                ;;
        esac
        [[ ${name} == "$1" && ${value} == "${2-}" ]] ||
            log "$1 \"${2-}\" is called ${name} \"${value}\" now; the old name goes with the next version"
        renamed+=("${name}")
        [ $# -lt 2 ] || renamed+=("${value}")
        shift $(($# < 2 ? 1 : 2))
    done
}
