"""The parallel text-to-semantic model as a semantic generator. Free of torch, so that fronts start fast."""

from dataclasses import replace
from pathlib import Path

from soundstorm.decoding.decoding_config import MaskedTextSamplingConfig
from soundstorm.decoding.semantic_generator import SemanticKind


def _load(place: str | Path, device: str):
    from soundstorm.decoding.masked_text_generator import MaskedTextGenerator

    return MaskedTextGenerator.load(place, device)


def _cut(config: MaskedTextSamplingConfig, seconds: float) -> MaskedTextSamplingConfig:
    return replace(config, max_seconds=seconds)


KIND = SemanticKind(" in parallel", "masked_text", MaskedTextSamplingConfig, _load, _cut)
