"""AudioLM's acoustic-only model as an acoustic generator: the coarse stage without semantic tokens.

What AudioLM is compared with in its piano experiment (section IV-G). Free of torch, so that commands start fast.
"""

from pathlib import Path

from soundstorm.data.audiolm_stages import ACOUSTIC
from soundstorm.data.pack import part_of
from soundstorm.decoding.acoustic_generator import GeneratorKind
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig


def _load(place: str | Path, codec, device: str):
    from soundstorm.decoding.audiolm_generator import AudioLMGenerator

    return AudioLMGenerator.load_acoustic(part_of(place, "audiolm_acoustic"), codec, device)


def _load_network(place: str, stage: str | None):
    from soundstorm.decoding.audiolm_generator import LanguageModel

    return LanguageModel.load(place, ACOUSTIC)


KIND = GeneratorKind(
    "Acoustic-only AudioLM", "audiolm", AudioLMSamplingConfig, _load, _load_network, follows_semantic=False
)
