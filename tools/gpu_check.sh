#!/usr/bin/env bash
# Tests, speed at the paper's sizes and the small recipe on one GPU, in under eight minutes; see --help.
set -euo pipefail
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=${root}/.venv/bin:${PATH}
exec python3 "${root}/tests/benchmarks/gpu_check.py" "$@"
