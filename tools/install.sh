#!/usr/bin/env bash
# Makes .venv in the repository's root, if there is none, and installs everything into it; a second call does nothing.
# Settings by environment: PYTHON (the interpreter, default python3), TORCH_VERSION, TORCH_DEVICE (cpu or cuda; default:
# cuda where nvidia-smi works).
set -euo pipefail
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || { # as egs/TEMPLATE/path.sh has it
    echo "install.sh: bash is ${BASH_VERSION}, expected 4.4 or later, first on the PATH; on macOS: brew install bash" >&2
    exit 1
}
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
torch_version=${TORCH_VERSION:-2.13.0}
espnet_version=202511
torchaudio_version=2.11.0
basic_pitch_version=0.4.0
if [ -n "${TORCH_DEVICE:-}" ]; then
    device=${TORCH_DEVICE}
elif nvidia-smi -L >/dev/null 2>&1; then
    device=cuda
else
    device=cpu
fi

# The stamp holds what was asked for, so that an edited requirement, another torch or another device installs again.
stamp=.venv/.installed
wanted="torch ${torch_version} ${device}, espnet ${espnet_version}, $(cat setup.py tools/install.sh tools/requirements.txt | cksum)"
if [ -f "${stamp}" ] && [ "$(cat "${stamp}")" = "${wanted}" ]; then
    touch "${stamp}"
    echo "install.sh: .venv is up to date"
    exit 0
fi

"${python}" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "install.sh: ${python} is $("${python}" --version 2>&1); Python 3.10 or later is needed, name one by PYTHON=" >&2
    exit 1
}
if [ ! -x .venv/bin/python ]; then
    [ ! -e .venv ] || {
        echo "install.sh: .venv is no environment of Python (no bin/python in it); move it away" >&2
        exit 1
    }
    echo "install.sh: making .venv with $("${python}" --version)"
    "${python}" -m venv .venv || {
        rm -rf .venv
        echo "install.sh: could not make .venv; on Debian the package python3-venv is needed" >&2
        exit 1
    }
    touch .venv/.made # here, so that make clean may remove it
fi
pip=(.venv/bin/python -m pip --disable-pip-version-check)

# torch comes first and alone, and is pinned again below, so that nothing can replace it.
torch_is() { .venv/bin/python -c "import sys, torch
sys.exit(torch.__version__.split('+')[0] != '${torch_version}' or (torch.version.cuda is None) != ('${device}' == 'cpu'))" 2>/dev/null; }
if ! torch_is; then
    echo "install.sh: torch ${torch_version} for ${device}"
    if [ "${device}" = cpu ]; then
        # The small CPU build where the configured index has it, else from PyTorch's own index, else the ordinary one.
        "${pip[@]}" install -q "torch==${torch_version}+cpu" 2>/dev/null ||
            "${pip[@]}" install -q --retries 1 --timeout 15 "torch==${torch_version}+cpu" \
                --extra-index-url https://download.pytorch.org/whl/cpu ||
            "${pip[@]}" install -q "torch==${torch_version}"
    else
        "${pip[@]}" install -q "torch==${torch_version}"
    fi
fi

echo "install.sh: the package, its extras, and what espnet needs"
"${pip[@]}" install -q -r tools/requirements.txt "torch==${torch_version}" || {
    # Of three packages the index has sources alone.
    include=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    # shellcheck disable=SC2086 # it may have options
    ${CXX:-c++} -fsyntax-only -x c++ "-I${include}" - <<<'#include <Python.h>' ||
        echo "install.sh: ${CXX:-c++} cannot compile for Python, as pesq, pyworld and webrtcvad need: get a C++ compiler and" \
            "Python's headers (${include}/Python.h); Debian: apt-get install g++ python3-dev; macOS: xcode-select --install;" \
            "conda: conda install cxx-compiler; or name another compiler by CXX=" >&2
    exit 1
}
echo "install.sh: espnet ${espnet_version}, torchaudio ${torchaudio_version}, basic-pitch ${basic_pitch_version}, without dependencies"
"${pip[@]}" install -q --no-deps "espnet==${espnet_version}" "torchaudio==${torchaudio_version}" \
    "basic-pitch==${basic_pitch_version}"
# torchaudio's binaries link CUDA. With a CPU torch it works without them, in pure Python.
.venv/bin/python - <<'P'
import pathlib
import shutil
import sysconfig

import torch

lib = pathlib.Path(sysconfig.get_paths()["purelib"]) / "torchaudio" / "lib"
if torch.version.cuda is None and lib.is_dir():
    shutil.rmtree(lib)
P
echo "${wanted}" >"${stamp}"
.venv/bin/python tools/check_install.py
