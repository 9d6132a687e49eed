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

end_all() {  # ends everything that this run started
    local processes tries=150
    mapfile -t processes < <(descendants $$ && jobs -p)
    # Launchers end their jobs, trainings save a checkpoint; what takes longer than that is the launchers' business.
    kill -TERM "${processes[@]}" 2>/dev/null || true
    while [ "$(count_running "${processes[@]}")" -gt 0 ] && ((tries-- > 0)); do
        sleep 0.1
    done
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
