# shellcheck shell=bash
# Where jobs run. `local` is this machine; `slurm` a cluster, whose partitions conf/slurm.conf names.
#
#   train_cmd    jobs without a GPU
#   cuda_cmd     jobs with GPUs; the recipe adds --gpu N
#   decode_cmd   arrays of jobs over parts of a set
#
# Options that a job always needs can stand here, e.g. "utils/slurm.py --mem 4G --time 1-00:00:00".
# A single call: cmd_backend=slurm ./run.sh

cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local)
        export train_cmd="utils/run.py"
        export cuda_cmd="utils/run.py"
        export decode_cmd="utils/run.py"
        ;;
    slurm)
        export train_cmd="utils/slurm.py --mem 4G"
        export cuda_cmd="utils/slurm.py --mem 8G"
        export decode_cmd="utils/slurm.py --mem 4G --max-jobs-run 100"
        ;;
    *)
        echo "cmd.sh: cmd_backend is '${cmd_backend}', expected local or slurm" >&2
        exit 1
        ;;
esac
