#!/usr/bin/env python3
"""Prints what is installed, which devices there are, and the command that adds each missing optional part.

Exits with status 1 if the core is incomplete; a missing optional part is no error.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Part:
    """Something that may be installed.

    Attributes:
        name: What to look for: a module, or a program on the PATH.
        purpose: What it serves in these recipes.
        remedy: The command, from the repository's root, that adds it.
        package: Distribution that has the module, where the names differ.
    """

    name: str
    purpose: str
    remedy: str
    package: str | None = None


INSTALL = "bash tools/install.sh"
PIP = "pip install -e '.[{}]'"
CORE = (
    Part("torch", "tensors", INSTALL),
    Part("accelerate", "devices, precision, distribution", INSTALL),
    Part("configargparse", "options and configurations", INSTALL, "ConfigArgParse"),
    Part("kaldiio", "token archives", INSTALL),
    Part("numpy", "arrays", INSTALL),
    Part("safetensors", "checkpoints", INSTALL),
    Part("scipy", "signal processing", INSTALL),
    Part("sentencepiece", "sub-words", INSTALL),
    Part("sklearn", "k-means", INSTALL, "scikit-learn"),
    Part("soundfile", "audio files", INSTALL),
    Part("soxr", "resampling", INSTALL),
    Part("transformers", "self-supervised models, pre-trained codecs, ByT5", INSTALL),
    Part("yaml", "configurations", INSTALL, "PyYAML"),
)
MODULES = (
    Part("tensorboard", "training curves", PIP.format("train")),
    Part("matplotlib", "figures", PIP.format("score")),
    Part("jiwer", "word error rates", PIP.format("score")),
    Part("onnx", "DNSMOS", PIP.format("score")),
    Part("onnxruntime", "DNSMOS, notes of piano music", PIP.format("score")),
    Part("speechmos", "DNSMOS", PIP.format("score")),
    Part("resemblyzer", "voice preservation without a hub", PIP.format("score")),
    Part("faster_whisper", "Whisper in half of the time", PIP.format("faster-whisper"), "faster-whisper"),
    Part("pystoi", "STOI of the codec", PIP.format("score")),
    Part("pesq", "PESQ of the codec", PIP.format("score")),
    Part("espeakng_loader", "the corpus of egs/mini", PIP.format("mini"), "espeakng-loader"),
    Part("lhotse", "tokens as lhotse's cuts", PIP.format("interop")),
    Part("webdataset", "the test of tokens in WebDataset's tars", PIP.format("interop")),
    Part("mido", "made-up music of egs/piano", PIP.format("piano")),
    Part("mir_eval", "notes of egs/piano", PIP.format("piano")),
    Part("basic_pitch", "notes of egs/piano", "pip install --no-deps basic-pitch==0.4.0", "basic-pitch"),
    Part("espnet2", "baselines and codec losses", "pip install --no-deps espnet==202511", "espnet"),
    Part("torchaudio", "parts of espnet", "pip install --no-deps torchaudio==2.11.0"),
    Part("faiss", "k-means of large corpora", "pip install faiss-cpu", "faiss-cpu"),
    Part("pytest", "tests", PIP.format("test")),
    Part("xdist", "tests in parallel", PIP.format("test"), "pytest-xdist"),
    Part("ruff", "static checks", PIP.format("test")),
)
PROGRAMS = (
    Part("chromium", "the test of the listening page", "make -C tools system"),
    Part("sbatch", "Slurm", "make -C tools system"),
    Part("munged", "the test of the Slurm launcher", "make -C tools system"),
    Part("fluidsynth", "MIDI files of egs/piano", "make -C tools system"),
    Part("sctk", "sclite beside jiwer", "make -C tools system"),
)


def version_of(part: Part) -> str | None:
    """Version of a module's distribution, or None if it is not installed."""
    if importlib.util.find_spec(part.name) is None:
        return None
    try:
        return importlib.metadata.version(part.package or part.name)
    except importlib.metadata.PackageNotFoundError:
        return "version unknown"


def report(part: Part, found: str | None) -> bool:
    """Prints one line about a part and tells whether it is there."""
    state = found if found else f"missing ({part.purpose}); add it by: {part.remedy}"
    print(f"  {part.name:<16} {state}")
    return found is not None


def report_devices() -> None:
    """Prints processors, memory and GPUs as torch sees them."""
    import torch

    print(f"  processors       {os.cpu_count()}, of which torch uses {torch.get_num_threads()}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            print(f"  GPU {index}            {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    elif torch.version.cuda is None and shutil.which("nvidia-smi"):
        print("  GPU              nvidia-smi is here but torch is a CPU build; "
              "add it by: TORCH_DEVICE=cuda bash tools/install.sh")
    else:
        print("  GPU              none; trainings run on the CPU")


def main() -> int:
    """Prints the report; returns the exit status."""
    print(f"Python {platform.python_version()} ({sys.executable}), {platform.platform()}")
    print("Core")
    missing = [part.name for part in CORE if not report(part, version_of(part))]
    print("Optional modules")
    for part in MODULES:
        report(part, version_of(part))
    print("Optional programs")
    for part in PROGRAMS:
        report(part, shutil.which(part.name))
    print("Devices")
    if "torch" in missing:
        print("  unknown without torch")
    else:
        report_devices()
    if importlib.util.find_spec("soundstorm") is None and not (ROOT / "soundstorm").is_dir():
        missing.append("soundstorm")
    if missing:
        names = ", ".join(missing)
        print(f"check_install.py: the core is incomplete ({names}); run: {INSTALL}", file=sys.stderr)
        return 1
    print("The core is complete.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
