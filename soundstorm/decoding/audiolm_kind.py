"""AudioLM as an acoustic generator, and its sampling options. Free of torch, so that commands start fast."""

from dataclasses import dataclass
from pathlib import Path

from soundstorm.data.audiolm_stages import COARSE, FINE, SEMANTIC
from soundstorm.data.experiment import has_config
from soundstorm.data.options import Config, option
from soundstorm.data.pack import find_pack, open_pack
from soundstorm.decoding.acoustic_generator import GeneratorKind, stage_place


@dataclass(frozen=True)
class AudioLMSamplingConfig(Config, section="audiolm"):
    """Sampling of AudioLM's stages; the paper's values (AudioLM, section IV-B; SoundStorm's comparison with it)."""

    semantic_temperature: float = option(0.6, "of the semantic stage; 0 is greedy", at_least=0)
    coarse_temperature: float = option(0.8, "of the coarse stage", at_least=0)
    fine_temperature: float = option(0.6, "of the fine stage", at_least=0)
    overlap_seconds: float = option(3.0, "end of a coarse chunk that is the prompt of the next one", more_than=0)


def _load(place: str | Path, codec, device: str):
    from soundstorm.decoding.audiolm_generator import AudioLMGenerator

    return AudioLMGenerator.load(place, codec, device)


def _load_network(place: str, stage: str | None):
    from soundstorm.decoding.audiolm_generator import LanguageModel

    return LanguageModel.load(place, stage)


def _timed_parts(place: str, config: AudioLMSamplingConfig, semantic_tokens, device: str):
    """The first stage, where it was trained, is timed unprompted."""
    from soundstorm.decoding.audiolm_generator import LanguageModel, timed_language_model

    pack = find_pack(place)
    if pack is not None and f"audiolm_{SEMANTIC}" not in open_pack(pack).parts:
        return {}
    expdir = stage_place(place, "audiolm", SEMANTIC)
    if not has_config(expdir):
        return {}
    model = LanguageModel.load(expdir, SEMANTIC, device)
    return {"AudioLM stage 1": timed_language_model(model, semantic_tokens, config.semantic_temperature)}


KIND = GeneratorKind(
    "AudioLM",
    "audiolm",
    AudioLMSamplingConfig,
    _load,
    _load_network,
    stages=(SEMANTIC, COARSE, FINE),
    timed_title="AudioLM stages 2 and 3",
    timed_parts=_timed_parts,
)
