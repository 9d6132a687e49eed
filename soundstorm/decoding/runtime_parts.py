"""The parts of the system as things to be timed: each makes a length of audio, or its tokens, alone in its batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenArchive
from soundstorm.data.audiolm_layout import without_repeats
from soundstorm.data.audiolm_stages import SEMANTIC
from soundstorm.data.data_dir import read_table
from soundstorm.decoding import autoregressive
from soundstorm.decoding.audiolm import AcousticGenerator, Stage, uniforms
from soundstorm.decoding.audiolm_sampling import Task, sample_rows
from soundstorm.decoding.autoregressive import load_text_to_semantic
from soundstorm.decoding.config import AudioLMSamplingConfig, ParallelConfig, TextSamplingConfig
from soundstorm.decoding.synthesize import Vocoder, waveform
from soundstorm.tokens.acoustic import AcousticTokenizer, load_acoustic_tokenizer

Part = Callable[[float], Callable[[], float]]  # seconds wanted -> what makes them once and says how many came out
TEXT_SHARE = 1.5  # of the length wanted: so much text that the model is cut and does not end early


def runtime_parts(
    data_dir: str | Path,
    *,
    codec: str,
    soundstorm: str,
    text_to_semantic: str | None,
    parallel: ParallelConfig,
    text: TextSamplingConfig,
    audiolm: tuple[str, str] | None = None,
    audiolm_semantic: str | None = None,
    audiolm_sampling: AudioLMSamplingConfig | None = None,
    device: str = "cpu",
) -> dict[str, Part]:
    """Codec decoding, SoundStorm, text to semantic tokens, AudioLM's stages.

    Args:
        data_dir: with ``semantic.scp``, and ``text`` for the last part: what is put in, one utterance after another.
        codec, soundstorm, text_to_semantic: as of ``synthesize``; the last one may be left out.
        audiolm: its coarse and its fine stage, or None; audiolm_semantic: its first stage, or None.
        parallel, text, audiolm_sampling: how to decode.
        device: where the networks work.
    """
    tokenizer = load_acoustic_tokenizer(codec, device)
    vocoder = Vocoder.load(soundstorm, tokenizer, device)
    archive = TokenArchive(Path(data_dir) / "semantic.scp")
    archive.info.check_same(vocoder.semantic_info, str(archive.scp), soundstorm)
    parts = {
        "codec": _codec_part(tokenizer),
        "soundstorm": acoustic_part(vocoder, archive, parallel),
    }
    if text_to_semantic:
        parts["text_to_semantic"] = _text_part(text_to_semantic, Path(data_dir), archive, text, device)
    sampling = audiolm_sampling or AudioLMSamplingConfig()
    if audiolm_semantic:
        stage = Stage.load(audiolm_semantic, SEMANTIC, device)
        parts["audiolm_semantic"] = _language_part(stage, archive, sampling.semantic_temperature)
    if audiolm:
        generator = AcousticGenerator.load(*audiolm, tokenizer, device)
        archive.info.check_same(generator.semantic_info, str(archive.scp), audiolm[0])
        parts["audiolm_acoustic"] = acoustic_part(generator, archive, sampling)
    return parts


def _codec_part(tokenizer: AcousticTokenizer) -> Part:
    info = tokenizer.info

    def part(seconds: float):
        shape = (round(seconds * info.frame_rate), info.num_levels)
        codes = np.random.default_rng(0).integers(info.codebook_size, size=shape)
        return lambda: len(waveform(tokenizer, codes)) / info.sample_rate

    return part


def _language_part(stage: Stage, archive: TokenArchive, temperature: float) -> Part:
    """AudioLM's first stage, from nothing: as many tokens as speech of that length has without its repeats."""

    def part(seconds: float):
        wanted = len(without_repeats(semantic_tokens(archive, round(seconds * archive.info.frame_rate))))
        nothing = np.zeros(0, np.int64)
        row = stage.layout.row(nothing, nothing, nothing[:, None])

        def run() -> float:
            made, stream = 0, torch.Generator().manual_seed(0)
            while made < wanted:  # an utterance that ends by itself is followed by another one
                task = Task(row, wanted - made, uniforms(stream, wanted - made))
                (drawn,) = sample_rows(stage.model, stage.layout, [task], temperature=temperature)
                made += len(drawn.codes)
            return seconds

        return run

    return part


def acoustic_part(
    generator: Vocoder | AcousticGenerator, archive: TokenArchive, config: ParallelConfig | AudioLMSamplingConfig
) -> Part:
    """What makes acoustic tokens from semantic ones: SoundStorm, or another model with the same method."""

    def part(seconds: float):
        tokens = semantic_tokens(archive, round(seconds * archive.info.frame_rate))

        def run() -> float:
            (codes,) = generator.acoustic_tokens([tokens], config, seeds=[0])
            return len(codes) / generator.acoustic_info.frame_rate

        return run

    return part


def semantic_tokens(archive: TokenArchive, frames: int) -> np.ndarray:
    """So many tokens ``(T,)``: utterances one after the other, from the first again when all are used up."""
    pieces, length = [], 0
    while length < frames:
        for utt in archive.ids:
            pieces.append(archive[utt].astype(np.int64))
            length += len(pieces[-1])
            if length >= frames:
                break
    return np.concatenate(pieces)[:frames]


def _text_part(
    expdir: str, data_dir: Path, archive: TokenArchive, config: TextSamplingConfig, device: str
) -> Part:
    reader = load_text_to_semantic(expdir, device=device)
    texts = {utt: words for utt, words in read_table(data_dir / "text").items() if utt in archive}
    if not texts:
        raise ValueError(f"{data_dir / 'text'}: no utterance with semantic tokens; name the set both were made for")

    def part(seconds: float):
        words, length = [], 0.0
        while length < TEXT_SHARE * seconds:
            for utt, more in texts.items():
                words.append(more)
                length += len(archive[utt]) / archive.info.frame_rate
                if length >= TEXT_SHARE * seconds:
                    break

        def run() -> float:
            with _only_errors(autoregressive.__name__):  # it is cut on purpose, each time
                (tokens,) = reader.generate(
                    [" ".join(words)], temperature=config.temperature, top_k=config.top_k, max_seconds=seconds,
                    seeds=[0], attempts=1,
                )  # fmt: skip
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
