"""The autoregressive text-to-semantic model, the paper's, as a semantic generator. Free of torch."""

from dataclasses import replace
from pathlib import Path

from soundstorm.decoding.decoding_config import TextSamplingConfig
from soundstorm.decoding.semantic_generator import SemanticKind


def _load(place: str | Path, device: str):
    from soundstorm.decoding.autoregressive import load_text_to_semantic

    return load_text_to_semantic(place, device=device)


def _cut(config: TextSamplingConfig, seconds: float) -> TextSamplingConfig:
    return replace(config, max_seconds=seconds, attempts=1)


KIND = SemanticKind("", "text", TextSamplingConfig, _load, _cut)
