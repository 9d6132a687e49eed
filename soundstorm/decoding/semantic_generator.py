"""Semantic generators: models from text to semantic tokens, behind one interface and one registry.

``config.yaml`` of an experiment says its ``kind``; one that does not is autoregressive, as all were once.
Synthesis, dialogue, packs, run times and titles in tables ask the kind's description. Free of torch, so that
commands start fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import read_config
from soundstorm.data.pack import part_of
from soundstorm.data.text import TextTokenizer

# Kind -> module that describes it by a `KIND`.
MODULES = {
    "autoregressive": "soundstorm.decoding.autoregressive_kind",
    "masked": "soundstorm.decoding.masked_text_kind",
}
PART = "text_to_semantic"  # of a pack, of any kind


class SemanticGenerator(Protocol):
    """Text (and the semantic tokens of a prompt) in, semantic tokens out."""

    info: TokenizerInfo  # of the tokens it makes
    tokenizer: TextTokenizer
    characters: frozenset[str]  # of the texts it was trained on; none: nobody knows

    def semantic_tokens(
        self,
        texts: Sequence[str],
        config: Any,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray] | None = None,
        new_texts: Sequence[str] | None = None,
        frames: Sequence[int] | None = None,
        recorded: Sequence[int] | None = None,
    ) -> list[np.ndarray]:
        """Semantic tokens of several texts, each the same as if it were alone.

        Args:
            texts: what to say. With a prompt: its transcript first (with the turn marker ``|`` between speakers).
            config: how to decode, of the kind's ``sampling``.
            seeds: one for each text.
            prompts: tokens of the prompts ``(P,)``, one for each text; an empty one is no prompt.
            new_texts: each text without its prompt's transcript, where known.
            frames: how long each is to be, without its prompt; as long as it takes by default.
            recorded: how many tokens at the beginning of each prompt somebody spoke, where the others were made under
                ``config``; all by default.

        Returns:
            int64 tokens ``(T,)`` for each text, without the prompt's; never empty.

        Raises:
            ValueError: nothing to say, a prompt of another tokenizer's tokens, or a duration that a kind cannot meet.
        """
        ...


@dataclass(frozen=True)
class SemanticKind:
    """What the rest of the package knows of a kind of semantic generator."""

    suffix: str  # of systems from text in tables
    section: str  # of decode.yaml and of the command line that holds its sampling options
    sampling: type  # dataclass of these options
    load: Callable[[str | Path, str], SemanticGenerator]  # experiment, device -> generator
    cut: Callable[[Any, float], Any]  # options under which a longer text ends after so many seconds, for timing


def text_kind_named(name: str) -> SemanticKind:
    """The description of a kind."""
    return importlib.import_module(MODULES[name]).KIND


def text_sampling_sections() -> dict[str, type]:
    """Sections of decode.yaml, of all kinds."""
    kinds = [text_kind_named(name) for name in MODULES]
    return {kind.section: kind.sampling for kind in kinds}


def find_text_kind(place: str | Path) -> str:
    """Which kind the model of an experiment directory or pack is of.

    Raises:
        ValueError: an experiment of another kind.
        FileNotFoundError: there is nothing.
    """
    place = part_of(place, PART)
    kind = read_config(place).get("kind", "autoregressive")
    if kind not in MODULES:
        raise InputError(
            f"{Path(place) / 'config.yaml'}: kind is {kind!r:.80}, expected one of {', '.join(MODULES)} for text to "
            "semantic tokens; is it an experiment of another kind?"
        )
    return kind


def load_semantic_generator(place: str | Path, device: str = "cpu") -> tuple[str, SemanticGenerator]:
    """Load the semantic generator of an experiment directory or pack: its kind, and itself."""
    kind = find_text_kind(place)
    return kind, text_kind_named(kind).load(part_of(place, PART), device)


def text_sampling_of(kind: str, samplings: Mapping[str, Any]) -> Any:
    """The sampling options of a kind among those of all sections."""
    return samplings[text_kind_named(kind).section]


def check_request(
    info: TokenizerInfo,
    texts: Sequence[str],
    seeds: Sequence[int],
    prompts: Sequence[np.ndarray] | None,
    max_seconds: float,
) -> None:
    """
    Raises:
        ValueError: one text instead of a list, seeds or prompts of another number, tokens that there are not.
    """
    if isinstance(texts, str):
        raise InputError(f"expected a list of texts, got one text {texts!r:.60}; put it into a list")
    if max_seconds * info.frame_rate < 1:
        raise InputError(f"max_seconds is {max_seconds}, less than one frame of {1 / info.frame_rate} s")
    if len(seeds) != len(texts):
        raise InputError(f"{len(seeds)} seeds for {len(texts)} texts; give one for each")
    if prompts is None:
        return
    if len(prompts) != len(texts):
        raise InputError(f"{len(prompts)} prompts for {len(texts)} texts; give one for each, empty for none")
    for number, prompt in enumerate(prompts, start=1):
        if len(prompt) and not 0 <= int(np.min(prompt)) <= int(np.max(prompt)) < info.codebook_size:
            raise InputError(
                f"prompt {number} has tokens outside [0, {info.codebook_size - 1}] of "
                f"{info.name}; extract it with the tokenizer the model was trained on"
            )
