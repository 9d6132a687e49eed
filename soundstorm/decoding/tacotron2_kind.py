"""Tacotron 2 as a system that reads text, and its sampling. Free of torch, so that commands start fast."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option
from soundstorm.decoding.acoustic_generator import GeneratorKind
from soundstorm.models.tacotron2_config import FEATURES, STAGES, WAVENET

GRIFFIN_LIM = "griffin_lim"


@dataclass(frozen=True)
class Tacotron2SamplingConfig(Config, section="tacotron2"):
    """The defaults are the paper's."""

    vocoder: str = option(
        WAVENET, "what makes samples of spectra: wavenet, or griffin_lim, without a network",
        one_of=(WAVENET, GRIFFIN_LIM),
    )
    stop_threshold: float = option(
        0.5, "probability of the stop token that ends an utterance", more_than=0, less_than=1
    )
    max_seconds: float = option(20.0, "longest result, prompt not counted", more_than=0)
    attention_window: tuple[int, ...] = option(
        (), "back and on: the next step attends to characters from so many before the one attended most to so "
            "many, less one, after it, e.g. 1,3; empty (the paper): to all"
    )  # fmt: skip
    batch_size: int = option(32, "utterances whose samples WaveNet makes together", at_least=1)

    def __post_init__(self):
        super().__post_init__()
        window = self.attention_window
        if window and (len(window) != 2 or window[0] < 0 or window[1] < 1):
            raise InputError(
                f"tacotron2.attention_window is {window}, expected none or two numbers, of at least 0 and 1"
            )


def _load(place: str | Path, codec, device: str):
    raise InputError(
        f"{place}: Tacotron 2 speaks text and reads no semantic tokens; use it by synthesize --from text, or "
        "another acoustic model here"
    )


def _load_reader(place: str, load_speaker_model: Callable[[str], Any], device: str):
    from soundstorm.decoding.tacotron2_reader import Tacotron2Reader

    return Tacotron2Reader.load(place, load_speaker_model, device)


def _load_network(place: str, stage: str | None):
    from soundstorm.decoding.tacotron2_reader import load_wavenet
    from soundstorm.models.feature_network import load_feature_network

    return load_feature_network(place)[0] if stage == FEATURES else load_wavenet(place)


def _title(config: Tacotron2SamplingConfig) -> str:
    vocoder = "WaveNet" if config.vocoder == WAVENET else "Griffin-Lim"
    window = ", attention window" if config.attention_window else ""
    return f"{KIND.title}, {vocoder}{window}"


KIND = GeneratorKind(
    "Tacotron 2", "tacotron2", Tacotron2SamplingConfig, _load, _load_network, stages=STAGES, title_of=_title,
    load_reader=_load_reader,
)  # fmt: skip
