#!/usr/bin/env bash
# Static checks: shellcheck over every shell script, ruff over all Python (public things of the package have docstrings,
# see pyproject.toml), and the import rule of the package.
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Scripts by their name or first line, wherever they are; links are checked once, where they point.
mapfile -t scripts < <(
    find egs utils tools .ci -type f -not -path 'egs/*/corpus/*' -not -path 'egs/*/data*/*' \
        -not -path 'egs/*/dump*/*' -not -path 'egs/*/exp*/*' -print0 |
        xargs -0 awk 'FNR == 1 { if (/^#!.*sh$/ || /^# shellcheck shell=/ || FILENAME ~ /\.sh$/) print FILENAME; nextfile }' |
        sort
)
[ ${#scripts[@]} -gt 0 ] || {
    echo "lint.sh: found no shell scripts, which cannot be" >&2
    exit 1
}
shellcheck --external-sources "${scripts[@]}"
echo "lint.sh: shellcheck: ${#scripts[@]} scripts"
ruff check .
python3 tools/check_imports.py
