"""Timed parts of the system: each generates a length of audio, or its tokens, with batch size 1."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from soundstorm.data.archive import TokenArchive
from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.decoding.acoustic_generator import (
    AcousticGenerator,
    SemanticTokens,
    TimedPart,
    find_generator,
    kind_named,
    sampling_of,
)
from soundstorm.decoding.semantic_generator import (
    SemanticGenerator,
    load_semantic_generator,
    text_kind_named,
    text_sampling_of,
)
from soundstorm.decoding.waveform import waveform
from soundstorm.tokens.acoustic import AcousticTokenizer, load_acoustic_tokenizer

TEXT_SHARE = 1.5  # text for this multiple of the length, so that the model does not end early


def timed_parts(
    data_dir: str | Path,
    *,
    codec: str,
    acoustic_models: Sequence[str],
    text_to_semantic: Sequence[str] = (),
    samplings: Mapping[str, Any],
    device: str = "cpu",
) -> tuple[dict[str, TimedPart], list[str]]:
    """Codec decoding, acoustic generators, text to semantic tokens, and further parts of a generator's kind.

    Args:
        data_dir: with ``semantic.scp``, and ``text`` for text to semantic: inputs are joined utterances.
        codec: as for ``synthesize``.
        acoustic_models, text_to_semantic: experiment directories or packs.
        samplings: how to decode acoustic tokens and texts, by section.
        device: where the networks run.

    Returns:
        Title -> part, and the titles of the acoustic generators in the order given.
    """
    tokenizer = load_acoustic_tokenizer(codec, device)
    archive = TokenArchive(Path(data_dir) / "semantic.scp")
    parts, generators, more = {"codec decoding": _codec_part(tokenizer)}, [], {}

    def semantic_tokens(seconds: float) -> np.ndarray:
        return first_tokens(archive, round(seconds * archive.info.frame_rate))

    for named in acoustic_models:
        name, place = find_generator(named)
        kind, sampling = kind_named(name), sampling_of(name, samplings)
        generator = kind.load(place, tokenizer, device)
        archive.info.check_same(generator.semantic_info, str(archive.scp), place)
        part = generator_part(generator, semantic_tokens, sampling)
        generators.append(_add(parts, kind.timed_title or kind.title, part, place))
        if kind.timed_parts:
            for title, part in kind.timed_parts(place, sampling, semantic_tokens, device).items():
                _add(more, title, part, place)
    for place in text_to_semantic:
        name, reader = load_semantic_generator(place, device)
        kind = text_kind_named(name)
        cut = partial(kind.cut, text_sampling_of(name, samplings))
        _add(parts, f"text to semantic{kind.suffix}", _text_part(reader, Path(data_dir), archive, cut), place)
    return parts | more, generators


def _add(parts: dict[str, TimedPart], title: str, part: TimedPart, place: str) -> str:
    """Put a part among the others; its title, which says the place where another one has it already."""
    if title in parts:
        title += f" ({Path(place).name})"
    parts[title] = part
    return title


def _codec_part(tokenizer: AcousticTokenizer) -> TimedPart:
    info = tokenizer.info

    def part(seconds: float):
        shape = (round(seconds * info.frame_rate), info.num_levels)
        codes = np.random.default_rng(0).integers(info.codebook_size, size=shape)
        return lambda: len(waveform(tokenizer, codes)) / info.sample_rate

    return part


def generator_part(generator: AcousticGenerator, semantic_tokens: SemanticTokens, config: Any) -> TimedPart:
    """Semantic tokens to acoustic tokens."""

    def part(seconds: float):
        tokens = semantic_tokens(seconds)

        def run() -> float:
            (codes,) = generator.acoustic_tokens([tokens], config, seeds=[0])
            return len(codes) / generator.acoustic_info.frame_rate

        return run

    return part


def first_tokens(archive: TokenArchive, frames: int) -> np.ndarray:
    """``frames`` tokens ``(T,)`` of joined utterances, from the first again after the last."""
    pieces, length = [], 0
    while length < frames:
        for utt in archive.ids:
            pieces.append(archive[utt].astype(np.int64))
            length += len(pieces[-1])
            if length >= frames:
                break
    return np.concatenate(pieces)[:frames]


def _text_part(
    reader: SemanticGenerator, data_dir: Path, archive: TokenArchive, cut: Callable[[float], Any]
) -> TimedPart:
    """Text to semantic tokens; ``cut``: options under which a text ends after so many seconds."""
    texts = {utt: words for utt, words in read_table(data_dir / "text").items() if utt in archive}
    if not texts:
        raise InputError(
            f"{data_dir / 'text'}: no utterance with semantic tokens; name the set both were made for"
        )

    def part(seconds: float):
        words, length = [], 0.0
        while length < TEXT_SHARE * seconds:
            for utt, more in texts.items():
                words.append(more)
                length += len(archive[utt]) / archive.info.frame_rate
                if length >= TEXT_SHARE * seconds:
                    break

        def run() -> float:
            with _only_errors(type(reader).__module__):  # no warning that it was cut, which is intended
                (tokens,) = reader.semantic_tokens([" ".join(words)], cut(seconds), seeds=[0])
            return len(tokens) / reader.info.frame_rate

        return run

    return part


@contextmanager
def _only_errors(logger_name: str) -> Iterator[None]:
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
