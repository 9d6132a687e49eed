"""Acoustic tokenizers: our codecs and ready ones behind one interface."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.archive import SHARD_UTTERANCES, TokenizerInfo, read_info, write_shards
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights, read_config
from soundstorm.data.pack import part_of
from soundstorm.models.codec.codec import Codec, build_codec
from soundstorm.models.codec.families import CODEC_FAMILIES
from soundstorm.models.devices import choose_device, exact_products
from soundstorm.models.hub import split_choice
from soundstorm.tokens.fingerprint import fingerprint
from soundstorm.tokens.ready_codecs import READY_CODECS, load_ready_codec

logger = logging.getLogger(__name__)


class AcousticTokenizer(Protocol):
    """Audio to codes and back.

    Frame rate, levels and codebook size are asked of ``info``, never configured.
    """

    info: TokenizerInfo
    hop: int  # samples per frame

    def encode(self, wav: Tensor) -> Tensor:
        """Codes (B, T, Q) int64 of ``wav`` (B, S)."""

    def decode(self, codes: Tensor) -> Tensor:
        """Samples (B, S) of codes (B, T, Q)."""


def load_acoustic_tokenizer(spec: str, device: str | torch.device = "cpu") -> AcousticTokenizer:
    """A tokenizer by name.

    Args:
        spec: the experiment directory of a codec, a pack, or the name of a ready codec (``ready_codecs.py``)
            before a hub name or a local directory of transformers, with the levels to use after ``@``:
            ``encodec:facebook/encodec_24khz@8``, or as a bit rate ``@6kbps``; all levels by default. A
            commit of the hub may stand before them, after an ``@`` of its own.
        device: where it works.
    """
    spec = part_of(spec, "codec")
    kind, _, name = spec.partition(":")
    if kind in READY_CODECS and name:
        name, choice = split_choice(name)
        return load_ready_codec(kind, name, choice, device)
    if name and not Path(spec).exists():
        raise InputError(
            f"{spec}: unknown codec; expected an experiment directory, "
            f"or {', '.join(f'{known}:<name>' for known in READY_CODECS)}"
        )
    return _load_experiment(Path(spec), device)


class CodecTokenizer:
    """A codec trained by this project. ``T = ceil(S / hop)``."""

    def __init__(self, codec: Codec, info: TokenizerInfo):
        self.codec, self.info, self.hop = codec.eval().requires_grad_(False), info, codec.hop
        self.device = next(codec.parameters()).device

    @torch.inference_mode()
    @exact_products()
    def encode(self, wav: Tensor) -> Tensor:
        """Samples ``(B, S)`` to codes ``(B, T, Q)``."""
        return self.codec.encode(wav.to(self.device))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, T, Q)`` to samples ``(B, T * hop)``."""
        return self.codec.decode(codes.to(self.device))


def load_codec_of(spec: str, *tables: str | Path) -> AcousticTokenizer:
    """The codec ``spec`` that made the tokens of ``<name>.scp``.

    Raises:
        ValueError: another one made them.
    """
    tokenizer = load_acoustic_tokenizer(spec)
    for table in tables:
        tokenizer.info.check_same(read_info(table), spec, str(table))
    return tokenizer


def load_codebooks(spec: str, *tables: str | Path) -> Tensor:
    """Codebooks ``(Q, N, D)`` of a codec trained by this project, which made the tokens of ``<name>.scp``.

    Raises:
        ValueError: a codec of another make, whose levels do not add up in one space; or another one made the tokens.
    """
    tokenizer = load_codec_of(spec, *tables)
    if not isinstance(tokenizer, CodecTokenizer):
        raise InputError(
            f"{spec}: init.codebooks needs a codec trained by train_codec; set it to false for this one"
        )
    return tokenizer.codec.quantizer.codebooks.clone()


def _load_experiment(expdir: Path, device: str | torch.device) -> CodecTokenizer:
    config = config_section(expdir, "model", CODEC_FAMILIES)
    values = read_config(expdir)["model"]
    if "family" not in values:
        raise InputError(
            f"{expdir / 'config.yaml'}: section model is not that of a codec, it names no family; "
            "expected an experiment directory of train_codec"
        )
    codec = build_codec(config)
    load_weights(expdir, codec)
    info = TokenizerInfo(
        kind="acoustic",
        name=f"{config.family} codec",
        fingerprint=fingerprint(codec, values),
        frame_rate=config.frame_rate,
        num_levels=config.num_levels,
        codebook_size=config.codebook_size,
        sample_rate=config.sample_rate,
        groups=config.groups,
    )
    return CodecTokenizer(codec.to(device), info)


def extract_acoustic_tokens(
    data_dir: str | Path,
    keys: str | Path | None,
    codec: str,
    output: str | Path,
    *,
    device: str = "auto",
    shard_utterances: int = SHARD_UTTERANCES,
) -> int:
    """Write the tokens of a data directory's utterances; recordings that cannot be read are left out with a
    warning.

    Args:
        data_dir: where the audio is.
        keys: file whose first column names the utterances; all by default.
        codec: see :func:`load_acoustic_tokenizer`.
        output: prefix of the archive.
        device: ``auto`` takes a GPU where there is one.
        shard_utterances: utterances in one archive; where there are more, a repeated call goes on after the
            last.

    Returns:
        Number of utterances written.
    """
    tokenizer = load_acoustic_tokenizer(codec, choose_device(device))
    chosen = None if keys is None else list(read_table(keys))
    utterances = Utterances(data_dir, tokenizer.info.sample_rate, chosen)
    count = write_shards(
        output,
        utterances.ids,
        lambda ids: _tokens(utterances.part(ids), tokenizer),
        tokenizer.info,
        sources=utterances.sources,
        shard_utterances=shard_utterances,
    )
    logger.info("%s: tokens of %d of %d utterances", output, count, len(utterances))
    return count


def _tokens(utterances: Utterances, tokenizer: AcousticTokenizer) -> Iterator[tuple[str, np.ndarray]]:
    # One by one: codecs hear padding.
    for (utt,), read in utterances.read_ahead((utt,) for utt in utterances.ids):
        try:
            codes = tokenizer.encode(torch.from_numpy(read.result()[0])[None])[0].cpu().numpy()
        except (ValueError, FileNotFoundError, RuntimeError) as error:  # torch refuses what is too short by the last
            if "out of memory" in str(error):
                raise
            logger.warning("%s is left out: %s", utt, error)
            continue
        yield utt, codes
