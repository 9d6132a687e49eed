# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by soundstorm.sh, whose options are the variables here.
# Stages, what is done and what is missing, and how fronts are run.

doing() {  # <number> <title>: is this stage selected? If so, say so.
    [ "${stage}" -le "$1" ] && [ "$1" -le "${stop_stage}" ] || return 1
    log "Stage $1: $2"
    stage_number=$1
    stage_start=${SECONDS}
    worked=false
}

done_with_stage() {  # Says what the stage took, and keeps that in <expdir>/timing.tsv if there was something to do.
    local seconds=$((SECONDS - stage_start))
    if "${worked}"; then
        mkdir -p "${expdir}"
        printf '%s\t%s\n' "${stage_number}" "${seconds}" >>"${expdir}/timing.tsv"
        log "Stage ${stage_number}: finished in ${seconds} s"
    else
        log "Stage ${stage_number}: complete, nothing to do"
    fi
}

is_done() {  # <output> <what> [<check>]
    if [ $# -gt 2 ]; then "${@:3}"; else [ -e "$1" ]; fi
}

to_do() {  # <output> <what> [<check>]: is the output missing, or its check false? Then say what is done now.
    if is_done "$@"; then
        return 1
    fi
    log "  ${ahead_of:+ahead of stage ${ahead_of}: }$2"
    worked=true
}

made_by() {  # <record> <output> <option>...: was it made by these very options, and after all that they name?
    local word file
    [[ -e $2 && -e $1 && $(<"$1") == "${*:3}" ]] || return 1
    for word in "${@:3}"; do
        for file in "${word}" "${word}"/{model.safetensors,centroids.safetensors,metrics.jsonl,wav.scp,dialogue.json}; do
            [[ ! -f ${file} || ! ${file} -nt $2 ]] || return 1
        done
    done
}

remember() {  # <record> <option>...: for made_by
    printf '%s\n' "${*:2}" >"$1"
}

go_on_in() {  # <folder> <option>...: what an interrupted run left there is of use only if it was made by these very options
    made_by "$1/options.txt" "$1/options.txt" "${@:2}" && return
    [ ! -e "$1" ] || log "    made anew, as an earlier run had other options or models: $1"
    rm -rf "$1"
    mkdir -p "$1"
    remember "$1/options.txt" "${@:2}"
}

appear() {  # <file>...: what jobs on other machines have written is waited for until this one sees it
    [ "${cmd_backend:-local}" = local ] || interruptible utils/wait_for_files.py "$@"
}

need() {  # <file> <stage>: the file, which that stage writes, must be there.
    [ -e "$1" ] || appear "$1"
    [ -e "$1" ] || die "$1 is missing, which stage $2 writes; run it first: --stage $2 --stop-stage ${stop_stage}"
}

shares_of() {  # <table>: shares of a set for jobs that start again with those that are not done, a hundred lines each
    local lines
    lines=$(grep -c '' "$1" || true) # counts a last line without newline too
    echo $((lines > 100 ? (lines + 99) / 100 : 1))
}

jobs_for() {  # <table>: jobs for a set of that many lines; each job loads its models first, so small sets have few
    local jobs
    jobs=$(shares_of "$1")
    echo $((jobs < nj ? jobs : nj))
}

front() {  # <threads> <front> <options>: sets `front_command` to the command line of a front
    front_command=(env "OMP_NUM_THREADS=$1")
    # Without --ngpu nothing runs on a GPU, whatever the machine has.
    [ "${ngpu}" -gt 0 ] || front_command+=(CUDA_VISIBLE_DEVICES=)
    front_command+=("${python}" -m "soundstorm.bin.$2" "${@:3}")
}

launch() {  # <launcher with its options> <job range or nothing> <log> <command>
    local words=() word
    for word in "${@:4}"; do
        # The launcher hands words without white space to bash as they are; for us they are data.
        [[ -z ${word} || ${word} =~ [[:space:]] ]] || printf -v word '%q' "${word}"
        words+=("${word}")
    done
    # Where jobs run is cmd.sh's business; its variables are commands with options, hence unquoted.
    # shellcheck disable=SC2086
    interruptible $1 ${2:+"$2"} "$3" "${words[@]}"
}

JOB=_JOB_NUMBER_ # becomes each job's number wherever it stands, also in paths: hence no word that paths have

gpu_sharing() {  # how jobs on this machine share its GPUs; on a cluster that is its own business
    [ "${cmd_backend:-local}" != local ] || echo "--jobs-per-gpu ${jobs_per_gpu}"
}

progress="" # a descriptor to utils/progress.py while that runs
start_progress() {  # From now on `watched` jobs are seen: at a terminal at once, else once a minute.
    local program
    program=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../../utils/progress.py")
    exec {progress}> >(trap '' INT && exec "${python:-python3}" "${program}")
    progress_process=$!
}

stop_progress() {
    [ -n "${progress}" ] || return 0
    exec {progress}>&-
    progress=""
    wait "${progress_process}" 2>/dev/null || true
}

watched() {  # <job range or nothing> <log> <command>: runs it; what its log says is seen meanwhile
    local status=0 alone=false
    [ -n "${progress}" ] || alone=true
    ! "${alone}" || start_progress
    (trap '' PIPE && printf '%s\t%s\n' "$1" "$2" >&"${progress}") 2>/dev/null || true
    "${@:3}" || status=$?
    ! "${alone}" || stop_progress
    return "${status}"
}

with_progress() {  # <log> <command>: like `watched`, for one job whose log begins anew
    rm -f "$1" # what an earlier run said
    watched "" "$@"
}

run_jobs() {  # <jobs> <log> <front> <options>: an array of jobs; those that an earlier run finished are not run again
    local launcher=${decode_cmd}
    [ "${ngpu}" -eq 0 ] || launcher="${cuda_cmd} --gpu 1 $(gpu_sharing)"
    # A single job is run only where its output is missing, whatever the log of an earlier run says.
    [ "$1" -eq 1 ] || launcher+=" --pick failed"
    [ "$1" -le "${nj}" ] || launcher+=" --max-jobs-run ${nj}"
    front "${threads_per_job}" "${@:3}"
    watched "${JOB}=1:$1" "$2" \
        launch "${launcher} --num-threads ${threads_per_job}" "${JOB}=1:$1" "$2" "${front_command[@]}"
}

in_shares() {  # <shares> <log> <output> <front> <options>: a set in shares side by side, each with its log and output
    local share outputs=()
    for ((share = 1; share <= $1; share++)); do
        outputs+=("${3//${JOB}/${share}}")
        [ -e "${outputs[-1]}" ] || rm -f "${2//${JOB}/${share}}" # what it says is not there
    done
    run_jobs "$1" "$2" "${@:4}" --share "${JOB}/$1" || return
    appear "${outputs[@]}"
}

run_one() {  # <log> <front> <options>: one job with the threads of a training, or one GPU to itself
    local launcher=${train_cmd}
    [ "${ngpu}" -eq 0 ] || launcher="${cuda_cmd} --gpu 1"
    front "${train_threads}" "${@:2}"
    log "    log: $1"
    with_progress "$1" launch "${launcher} --num-threads ${train_threads}" "" "$1" "${front_command[@]}"
}

run_training() {  # <log> <front> <options>: like run_one; in several processes, on one machine or more, by torchrun
    local processes=${train_procs} threads=$((train_threads / train_procs)) launcher=${train_cmd} nodes="" cpus=${train_threads}
    [ -z "${normal_losses}" ] || set -- "$@" --training.normal-losses "${normal_losses}"
    if [ "${ngpu}" -gt 0 ]; then
        processes=${ngpu} threads=${threads_per_job} launcher="${cuda_cmd} --gpu ${ngpu}"
        cpus=$((ngpu * 4 > cpus ? ngpu * 4 : cpus)) # who reads the data
    fi
    if [ $((processes * num_nodes)) -le 1 ]; then
        run_one "$@"
        return
    fi
    [ "${num_nodes}" -eq 1 ] || nodes="--num-nodes ${num_nodes}"
    front $((threads > 0 ? threads : 1)) "${@:2}"
    log "    log: $1"
    # What the front's command line has before `-m` stays there: the environment and Python.
    local at=0
    while [ "${front_command[at]}" != -m ]; do at=$((at + 1)); done
    with_progress "$1" launch "${launcher} --num-threads ${cpus} ${nodes}" "" "$1" \
        "${front_command[@]:0:at}" utils/torchrun.py --num-nodes "${num_nodes}" --procs-per-node "${processes}" \
        "${front_command[@]:at}"
}

train_experiment() {  # <name> <front> <training data> <validation set> <option>...: by its configuration and options
    local config=$1_config args=$1_args exp=$1_exp
    split_arguments "${!args}"
    run_training "${!exp}/log/train.log" "$2" --config "${!config}" --train-data "$3" --valid-data "${datadir}/$4" \
        "${@:5}" --expdir "${!exp}" "${arguments[@]}"
}

# Trainings of later stages that need nothing of the running one go beside it: --train-jobs at once, its own among them.
declare -A ahead_jobs=() # processes, by what they are ahead of
ahead_of=""              # in such a process: which stage
NOTHING_TO_DO=99         # its status

ahead() {  # <stage>[.<part>] <command>: starts it in the background, if the run goes so far; `caught_up` waits for it
    local before=("${ahead_jobs[@]}")
    if "${wants_status}" || [[ ${train_jobs} -eq 1 || ${1%%.*} -gt ${stop_stage} ]]; then
        return 0
    fi
    [ -n "${progress}" ] || start_progress
    {
        trap '' INT # as in in_background
        while [ "$(count_running "${before[@]}")" -ge $((train_jobs - 1)) ]; do sleep 1; done
        ahead_of=${1%%.*} worked=false
        "${@:2}"
        "${worked}" || exit "${NOTHING_TO_DO}"
    } &
    ahead_jobs[$1]=$!
}

caught_up() {  # <stage>[.<part>]: waits for what was started ahead of it; its failure is the stage's
    local status=0
    [ -n "${ahead_jobs[$1]:-}" ] || return 0
    wait "${ahead_jobs[$1]}" || status=$?
    unset "ahead_jobs[$1]"
    [ "${#ahead_jobs[@]}" -gt 0 ] || stop_progress
    ! of_a_signal "${status}" || exit "${status}"
    case "${status}" in
        0) worked=true ;;
        "${NOTHING_TO_DO}") ;;
        *) die "what was run ahead of stage ${1%%.*} failed; the messages above name the log" ;;
    esac
}

background_jobs=()
in_background() {  # <command>: starts it once fewer than ${nj} others run. `finish_background` waits for all.
    # What runs ahead of its stage counts, but a stage does not wait for the end of all that.
    while [[ $(jobs -rp | wc -l) -ge ${nj} && $(count_running "${background_jobs[@]}") -gt 0 ]]; do
        wait -n || true # its status is asked for again below
    done
    [ -n "${progress}" ] || start_progress
    # Ctrl-C reaches all processes at once: `interrupted` ends these too, and Python does not show where it was.
    { trap '' INT && "$@"; } &
    background_jobs+=($!)
}

finish_background() {  # <what>: waits for everything in the background; one failure is a failure.
    local pid status failures=0
    for pid in "${background_jobs[@]}"; do
        status=0
        wait "${pid}" || status=$?
        ! of_a_signal "${status}" || exit "${status}"
        failures=$((failures + (status > 0)))
    done
    [ "${#ahead_jobs[@]}" -gt 0 ] || stop_progress # whose jobs are still seen
    local total=${#background_jobs[@]}
    background_jobs=()
    [ "${failures}" -eq 0 ] || die "${failures} of ${total} $1 failed; the messages above name the logs"
}

split_arguments() {  # <words>: sets `arguments` to them, split and unquoted as a shell does, nothing expanded
    if [[ $1 != *[\'\"\\]* ]]; then
        read -rd '' -a arguments <<<"$1" || true
        return
    fi
    mapfile -d '' -t arguments < <("${python}" -c 'import shlex, sys
for word in shlex.split(sys.argv[1]): print(word, end="\0")' "$1" 2>/dev/null)
    wait $! || die "cannot split into words: $1 (a quotation mark is not closed, or nothing follows a backslash)"
}
