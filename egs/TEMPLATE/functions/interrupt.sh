# shellcheck shell=bash disable=SC2154
# Sourced by soundstorm.sh. What Ctrl-C and the like do to a run: all that it started ends, and one line says so.

descendants() {  # <process>: what it started and what those started, parents first
    ps -A -o pid= -o ppid= 2>/dev/null | awk -v root="$1" '
        { process[NR] = $1; parent[$1] = $2 }
        END {
            known[root]
            do {
                more = 0
                for (i = 1; i <= NR; i++)
                    if (parent[process[i]] in known && !(process[i] in known)) {
                        known[process[i]]
                        print process[i]
                        more = 1
                    }
            } while (more)
        }'
}

count_running() {  # <processes>: prints how many of them still run. A zombie does not.
    local IFS=,
    ps -o stat= -p "$*" 2>/dev/null | awk '!/^Z/ { running++ } END { print running + 0 }'
}

SECONDS_TO_SAVE=300 # KILL_AFTER_SECONDS of utils/jobs.py

ended() {  # <tries> <seconds between them>: have the `processes` ended in that time? No longer asked after Ctrl-C.
    local tries
    for ((tries = $1; tries > 0; tries--)); do
        [ "$(count_running "${processes[@]}")" != 0 ] || return 0
        ! "${at_once}" || return 1
        sleep "$2" || true
    done
    return 1
}

end_all() {  # ends everything that this run started
    local processes at_once=false
    trap 'at_once=true' INT
    mapfile -t processes < <(descendants $$ && jobs -p)
    # Launchers end their jobs, trainings save a checkpoint.
    kill -TERM "${processes[@]}" 2>/dev/null || true
    ! ended 20 0.1 || return 0
    printf '%s: waiting up to %d s for what this run has started, trainings save a checkpoint; %s\n' \
        "$(basename "$0")" "${SECONDS_TO_SAVE}" "Ctrl-C now kills it at once" >&2
    ! ended "${SECONDS_TO_SAVE}" 1 || return 0
    at_once=false
    mapfile -t processes < <(descendants $$) # others may have the old numbers by now
    kill -INT "${processes[@]}" 2>/dev/null || true # launchers kill their jobs, those on a cluster too
    ended 20 0.1 || kill -KILL "${processes[@]}" 2>/dev/null || true
}

interrupted() {  # <number of the signal>
    trap '' INT TERM HUP
    trap - EXIT
    end_all
    printf '%s: interrupted by SIG%s%s; run the same command again to go on\n' \
        "$(basename "$0")" "$(kill -l "$1")" "${stage_number:+ in stage ${stage_number}}" >&2
    exit $((128 + $1))
}

interruptible() {  # <command>: runs it so that a signal does not have to wait for its end
    # In the background Ctrl-C is ignored: nothing but `interrupted` ends it, and Python does not show where it was.
    "$@" <&0 &
    wait $!
}

of_a_signal() {  # <exit status>: did one of those signals end it?
    [[ $1 == 129 || $1 == 130 || $1 == 143 ]]
}

end_of_run() {  # What we started may have ended by the signal before bash has looked at its own.
    local status=$?
    [ -z "$(jobs -rp)" ] || end_all # a stage failed; what runs beside it goes on at the next run
    [ -z "${progress:-}" ] || stop_progress
    ! of_a_signal "${status}" || interrupted $((status - 128))
}

trap end_of_run EXIT
for number in 1 2 15; do
    # shellcheck disable=SC2064 # now is when the number is known
    trap "interrupted ${number}" "${number}"
done
