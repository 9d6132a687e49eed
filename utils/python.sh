# shellcheck shell=bash
# Which Python runs, for scripts that source this with SOUNDSTORM_ROOT set: that of an activated environment if it has what
# the project needs, otherwise that of tools/install.sh. Conda's base, which is active in every shell of many, lacks it.

has_modules() {  # <python>: are those there without which nothing runs? Names the missing.
    "$1" -c '
import importlib.util, sys
missing = [name for name in ("torch", "transformers", "configargparse") if importlib.util.find_spec(name) is None]
sys.exit(f"no module {missing}" if missing else 0)'
}

if [ -x "${SOUNDSTORM_ROOT}/.venv/bin/python3" ] &&
    { [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || ! has_modules python3 2>/dev/null; }; then
    export PATH="${SOUNDSTORM_ROOT}/.venv/bin:${PATH}"
fi
