# shellcheck shell=bash
# Environment of a recipe. Source it from the recipe's directory: `. ./path.sh`. Jobs on a cluster source it too.

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || { # older ones have no mapfile -d, and take empty arrays for unset
    echo "$(basename "$0"): bash is ${BASH_VERSION}, expected 4.4 or later, first on the PATH; on macOS: brew install bash" >&2
    exit 1
}

# The repository: two levels up from this file, wherever links to it or to the recipe lie.
SOUNDSTORM_ROOT=$(dirname "$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")")
export SOUNDSTORM_ROOT

# shellcheck source=../../utils/python.sh
. "${SOUNDSTORM_ROOT}/utils/python.sh"
export PYTHONPATH="${SOUNDSTORM_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"
# Scripts of local/ import their neighbours.
unset PYTHONSAFEPATH
# `cd` means below here, never a directory of that name elsewhere.
unset CDPATH
# A data directory is sorted byte by byte, whatever the user's language.
export LC_ALL=C PYTHONIOENCODING=UTF-8 PYTHONUTF8=1
# Threads of OpenMP that wait spin on their cores for long, which takes these from whatever runs beside them: two-thread
# trainings beside others then crawl (tests/benchmarks/RESULTS.md). A setting of the user's own wins.
[ -n "${OMP_WAIT_POLICY:-}" ] || export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-3000}"
# Libraries that would otherwise look for news on the network or print progress bars into logs.
export TOKENIZERS_PARALLELISM=false HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_PROGRESS_BARS=1

log() {  # <words>: one line in the form that every front logs in, so that all logs of a run read alike.
    local line=${BASH_LINENO[0]} script=${BASH_SOURCE[1]:-shell}
    [ ! -t 1 ] || printf '\r\033[J' # takes the place of what utils/progress.py shows
    printf '%s (%s:%s) INFO: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$(basename "${script}")" "${line}" "$*"
}

die() {  # <words>: what is wrong and what to do, on stderr, and the end.
    [ ! -t 2 ] || printf '\r\033[J' >&2
    printf '%s: %s\n' "$(basename "${0}")" "$*" >&2
    exit 1
}
