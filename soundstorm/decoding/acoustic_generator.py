"""Acoustic generators: models from semantic to acoustic tokens, behind one interface and one registry.

``config.yaml`` of an experiment says its ``kind``. Everything else in the package (synthesis, dialogue,
packs, run times, titles in tables) asks the kind's description, so a model is added by its own files and one
line in ``MODULES``. Free of torch, so that commands start fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import has_config, read_config
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.pack import find_pack, open_pack, part_of

if TYPE_CHECKING:
    from soundstorm.decoding.stopwatch import Stopwatch
    from soundstorm.tokens.acoustic import AcousticTokenizer

# Kind -> module that describes it by a `KIND`.
MODULES = {
    "soundstorm": "soundstorm.decoding.soundstorm_kind",
    "audiolm": "soundstorm.decoding.audiolm_kind",
    "audiolm_acoustic": "soundstorm.decoding.audiolm_acoustic_kind",
    "mask_diffusion": "soundstorm.decoding.mask_diffusion_kind",
    "tacotron2": "soundstorm.decoding.tacotron2_kind",
}


class AcousticGenerator(Protocol):
    """Semantic tokens (and a voice prompt) in, acoustic tokens out."""

    semantic_info: TokenizerInfo  # of the tokens it reads
    acoustic_info: TokenizerInfo  # of the tokens it makes
    ratio: FrameRatio  # of their rates

    def acoustic_tokens(
        self,
        semantic: Sequence[np.ndarray],
        config: Any,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray | None] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> list[np.ndarray]:
        """Acoustic tokens of several utterances, each the same as if it were alone.

        Args:
            semantic: tokens ``(T_s,)`` of each utterance, those of its prompt included.
            config: how to decode, of the kind's ``sampling``.
            seeds: one for each utterance.
            prompts: acoustic tokens ``(P, Q)`` of the beginning of each utterance, or None.
            stopwatch: is told the time taken, in parts that are called as the kind or ``<kind>_<stage>``.

        Returns:
            Codes ``(T, Q)`` of each utterance, int64, prompt included.

        Raises:
            ValueError: a prompt that leaves nothing to generate.
        """
        ...


@dataclass(frozen=True)
class SpokenText:
    """What a text reader made of one text."""

    samples: np.ndarray  # float32 (S,)
    alignment: np.ndarray  # (steps, characters), rows sum to 1
    figures: Mapping[str, float]  # of the alignment, and whether it ended by itself


class TextReader(Protocol):
    """Text (and a voice prompt) in, samples out: a system without tokens."""

    sample_rate: int  # Hz, of prompts and samples

    def speak(
        self,
        texts: Sequence[str],
        config: Any,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> list[SpokenText]:
        """Speak several texts.

        Args:
            texts: words, those of the prompt included.
            config: how to decode, of the kind's ``sampling``.
            seeds: one for each text.
            prompts: samples that each begins with, which the result has too.
            stopwatch: is told the time taken, in parts that are called ``<kind>_<stage>``.
        """
        ...


# Seconds wanted -> what makes them once and says how many came out; for measurements of run time.
TimedPart = Callable[[float], Callable[[], float]]
SemanticTokens = Callable[[float], np.ndarray]  # seconds -> so many semantic tokens (T_s,) of real speech


@dataclass(frozen=True)
class GeneratorKind:
    """What the rest of the package knows of a kind of acoustic generator."""

    title: str  # in tables
    section: str  # of decode.yaml and of the command line that holds its sampling options
    sampling: type  # dataclass of these options
    # Experiment or pack, codec, device -> generator; a kind that reads text refuses.
    load: Callable[[str | Path, AcousticTokenizer, str], AcousticGenerator]
    load_network: Callable[[str, str | None], object]  # experiment of one network, its stage: for checks
    stages: tuple[str, ...] = ()  # networks with an experiment directory each; empty for one network
    # Sampling options -> title, where some options count as another system.
    title_of: Callable[[Any], str] | None = None
    timed_title: str | None = None  # of the generator in figures of run time, where it differs
    # Further things to time, given place, sampling options, tokens and device: title -> part.
    timed_parts: Callable[[str, Any, SemanticTokens, str], dict[str, TimedPart]] | None = None
    # Experiment, loader of speaker models by name, device -> reader, of a kind that makes samples of text,
    # without tokens.
    load_reader: Callable[[str, Callable[[str], Any], str], TextReader] | None = None
    follows_semantic: bool = True  # False: it goes on freely, and only the number of semantic tokens matters

    def system_title(self, sampling: Any) -> str:
        """Title of a system that decodes by these options."""
        return self.title_of(sampling) if self.title_of else self.title


def kind_named(name: str) -> GeneratorKind:
    """The description of a kind.

    Raises:
        ValueError: there is no such kind.
    """
    if name not in MODULES:
        raise InputError(f"{name!r:.80} is no kind of acoustic generator; there are {', '.join(MODULES)}")
    return importlib.import_module(MODULES[name]).KIND


def sampling_sections() -> dict[str, type]:
    """Sections of decode.yaml, of all kinds."""
    kinds = [kind_named(name) for name in MODULES]
    return {kind.section: kind.sampling for kind in kinds}


def find_generator(place: str | Path) -> tuple[str, str]:
    """Which kind of acoustic generator is meant, and where it is.

    Args:
        place: an experiment directory, a pack or its name on the hub; ``<kind>:`` before it where a pack has
            several generators.

    Returns:
        Kind and place, without the prefix.

    Raises:
        ValueError: an experiment of another kind, or a pack with none or several.
        FileNotFoundError: there is nothing.
    """
    name, colon, rest = str(place).partition(":")
    if colon and name in MODULES:
        return name, rest
    pack = find_pack(place)
    if pack is not None:
        parts = open_pack(pack).parts
        found = [name for name in MODULES if set(part_names(name)) & set(parts)]
        if len(found) == 1:
            return found[0], str(place)
        choice = ", ".join(f"{name}:{place}" for name in found or MODULES)
        raise InputError(
            f"{place}: this pack has {', '.join(parts)}, expected one acoustic generator; "
            f"name it as one of {choice}"
        )
    for name in MODULES:
        for stage in kind_named(name).stages:
            if has_config(stage_place(place, name, stage)):
                return name, str(place)
    config = read_config(place)
    kind = config.get("kind")
    if kind not in MODULES:
        sections = ", ".join(map(str, config))
        raise InputError(
            f"{Path(place) / 'config.yaml'}: kind is {kind!r:.80}, expected one of {', '.join(MODULES)} "
            f"(it has {sections:.200}); is it an experiment of another kind?"
        )
    return kind, str(place)


def part_names(kind: str) -> list[str]:
    """What the experiment directories of a kind are called in a pack."""
    return [f"{kind}_{stage}" for stage in kind_named(kind).stages] or [kind]


def stage_place(place: str | Path, kind: str, stage: str) -> str:
    """A stage's experiment directory: in the model's, beside it, or in a pack."""
    if find_pack(place) is not None:
        return part_of(place, f"{kind}_{stage}")
    inside, beside = Path(place) / stage, Path(f"{place}_{stage}")
    return str(beside if has_config(beside) and not has_config(inside) else inside)


def load_generator(
    place: str | Path, codec: AcousticTokenizer, device: str = "cpu"
) -> tuple[str, AcousticGenerator]:
    """Load the acoustic generator of an experiment directory or pack.

    Args:
        place: as for :func:`find_generator`.
        codec: will make the waveform.
        device: where the network runs.

    Returns:
        Its kind, and the generator.
    """
    kind, place = find_generator(place)
    return kind, kind_named(kind).load(place, codec, device)


def sampling_of(kind: str, samplings: Mapping[str, Any]) -> Any:
    """The sampling options of a kind among those of all sections."""
    return samplings[kind_named(kind).section]
