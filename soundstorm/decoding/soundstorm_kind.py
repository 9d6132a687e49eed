"""SoundStorm as an acoustic generator. Free of torch, so that fronts start fast."""

from pathlib import Path

from soundstorm.decoding.acoustic_generator import GeneratorKind
from soundstorm.decoding.decoding_config import ParallelConfig


def _load(place: str | Path, codec, device: str):
    from soundstorm.decoding.soundstorm_generator import SoundStormGenerator

    return SoundStormGenerator.load(place, codec, device)


def _load_network(place: str, stage: str | None):
    from soundstorm.decoding.soundstorm_generator import load_soundstorm

    return load_soundstorm(place)


def _title(config: ParallelConfig) -> str:
    """One pass for each level is the paper's level-wise greedy decoding."""
    return "Level-wise greedy" if set(config.iterations) == {1} else KIND.title


KIND = GeneratorKind("SoundStorm", "decode", ParallelConfig, _load, _load_network, title_of=_title)
