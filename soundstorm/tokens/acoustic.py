"""Acoustic tokenizers: our codecs and, through transformers, EnCodec, DAC and Mimi, behind one interface."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from soundstorm.data.archive import SHARD_UTTERANCES, TokenizerInfo, write_shards
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.experiment import config_section, load_weights, read_config
from soundstorm.data.pack import part_of
from soundstorm.models.codec.codec import Codec, build_codec
from soundstorm.models.codec.families import CODEC_FAMILIES
from soundstorm.models.devices import choose_device

logger = logging.getLogger(__name__)


class AcousticTokenizer(Protocol):
    """Audio to codes and back.

    Frame rate, levels and codebook size are asked of ``info``, never configured.
    """

    info: TokenizerInfo
    hop: int  # samples per frame

    def encode(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes (B, T, Q) int64 of ``wav`` (B, S); ``lengths`` (B,) in samples.

        Frames past an example's end: 0.
        """

    def decode(self, codes: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Samples (B, S) of codes (B, T, Q); ``lengths`` (B,) in frames.

        Samples past an example's end are 0.
        """


def load_acoustic_tokenizer(spec: str, device: str | torch.device = "cpu") -> AcousticTokenizer:
    """A tokenizer by name.

    Args:
        spec: the experiment directory of a codec, a pack, or ``encodec:``, ``dac:`` or ``mimi:`` before a hub name or
            a local directory of transformers, with the levels to use after ``@``:
            ``encodec:facebook/encodec_24khz@8``, or as a bit rate ``@6kbps``; all levels by default.
        device: where it works.
    """
    spec = part_of(spec, "codec")
    family, _, name = spec.partition(":")
    if family in _ADAPTERS and name:
        name, _, choice = name.partition("@")
        return _load_pretrained(family, name, choice, device)
    if name and not Path(spec).exists():
        raise ValueError(
            f"{spec}: unknown codec; expected an experiment directory, "
            f"or {', '.join(f'{known}:<name>' for known in _ADAPTERS)}"
        )
    return _load_experiment(Path(spec), device)


class CodecTokenizer:
    """A codec trained by this project. ``T = ceil(S / hop)``."""

    def __init__(self, codec: Codec, info: TokenizerInfo):
        self.codec, self.info, self.hop = codec.eval().requires_grad_(False), info, codec.hop

    @torch.inference_mode()
    def encode(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Samples ``(B, S)`` to codes ``(B, T, Q)``, zero beyond ``lengths (B,)``, which are in samples."""
        device = self.codec.quantizer.codebooks.device
        lengths = None if lengths is None else lengths.to(device)
        codes = self.codec.encode(wav.to(device), lengths)
        if lengths is not None:
            frames = torch.arange(codes.shape[1], device=device)
            codes = codes * (frames < -(-lengths[:, None] // self.hop))[..., None]
        return codes

    @torch.inference_mode()
    def decode(self, codes: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes ``(B, T, Q)`` to samples ``(B, T * hop)``, zero beyond ``lengths (B,)``, which are in frames."""
        device = self.codec.quantizer.codebooks.device
        return self.codec.decode(codes.to(device), None if lengths is None else lengths.to(device))


def load_codebooks(spec: str) -> Tensor:
    """Codebooks ``(Q, N, D)`` of a codec trained by this project.

    Raises:
        ValueError: a codec of another make, whose levels do not add up in one space.
    """
    tokenizer = load_acoustic_tokenizer(spec)
    if not isinstance(tokenizer, CodecTokenizer):
        raise ValueError(f"{spec}: init.codebooks needs a codec trained by train_codec; set it to false for this one")
    return tokenizer.codec.quantizer.codebooks.clone()


def _load_experiment(expdir: Path, device: str | torch.device) -> CodecTokenizer:
    config = config_section(expdir, "model", CODEC_FAMILIES)
    values = read_config(expdir)["model"]
    if "family" not in values:
        raise ValueError(
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
    )
    return CodecTokenizer(codec.to(device), info)


def fingerprint(network: nn.Module, config: dict) -> str:
    """sha256 over weights and settings, hexadecimal."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class PretrainedTokenizer:
    """A codec of transformers. Examples are handled one by one, so that padding never changes a code."""

    def __init__(self, network: nn.Module, info: TokenizerInfo, hop: int):
        self.network, self.info, self.hop = network.eval().requires_grad_(False), info, hop
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def encode(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Samples ``(B, S)`` to codes ``(B, T, Q)``, zero beyond ``lengths (B,)``, which are in samples."""
        sizes = [wav.shape[1]] * len(wav) if lengths is None else lengths.tolist()
        return _pad(self._encode(w[None, None, :n].to(self.device)) for w, n in zip(wav, sizes))

    @torch.inference_mode()
    def decode(self, codes: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes ``(B, T, Q)`` to samples ``(B, S)``, zero beyond ``lengths (B,)``, which are in frames."""
        sizes = [codes.shape[1]] * len(codes) if lengths is None else lengths.tolist()
        return _pad(self._decode(c[:n].T[None].to(self.device)) for c, n in zip(codes, sizes))

    def _encode(self, wav: Tensor) -> Tensor:
        """(1, 1, S) to (T, Q);

        of the codes (1, Q, T) the chosen levels, which do not depend on the finer ones.
        """
        return self.network.encode(wav).audio_codes[0, : self.info.num_levels].T

    def _decode(self, codes: Tensor) -> Tensor:
        """(1, Q, T) to (S,)."""
        return self.network.decode(audio_codes=codes).audio_values.reshape(-1)


class _Encodec(PretrainedTokenizer):
    def _encode(self, wav: Tensor) -> Tensor:
        bandwidth = max(self.network.config.target_bandwidths)
        # A leading axis for chunks, of which a model without chunk length has one.
        return self.network.encode(wav, bandwidth=bandwidth).audio_codes[0, 0, : self.info.num_levels].T

    def _decode(self, codes: Tensor) -> Tensor:
        return self.network.decode(codes[None], [None]).audio_values.reshape(-1)


class _Mimi(PretrainedTokenizer):
    def _decode(self, codes: Tensor) -> Tensor:
        return self.network.decode(codes).audio_values.reshape(-1)


_ADAPTERS = {
    "encodec": ("EncodecModel", _Encodec),
    "dac": ("DacModel", PretrainedTokenizer),
    "mimi": ("MimiModel", _Mimi),
}


def _load_pretrained(family: str, name: str, choice: str, device: str | torch.device) -> PretrainedTokenizer:
    import transformers

    class_name, adapter = _ADAPTERS[family]
    try:
        network = getattr(transformers, class_name).from_pretrained(name, use_safetensors=True)
    except OSError as error:
        raise FileNotFoundError(
            f"{family}:{name}: neither a directory with a {class_name} nor a hub name that can be fetched "
            f"({str(error).splitlines()[0]})"
        ) from error
    config = network.config
    if getattr(config, "audio_channels", 1) != 1 or getattr(config, "chunk_length_s", None) is not None:
        raise ValueError(
            f"{family}:{name}: codes stereo or separate chunks, expected a model of mono speech in one piece "
            "(for EnCodec: facebook/encodec_24khz)"
        )
    if family == "encodec":
        hop, size = round(config.sampling_rate / config.frame_rate), config.codebook_size
        available = len(network.quantizer.layers)
    elif family == "dac":
        hop, size, available = config.hop_length, config.codebook_size, config.n_codebooks
    else:
        hop, size = round(config.sampling_rate / config.frame_rate), config.codebook_size
        available = config.num_quantizers
    frame_rate = config.sampling_rate / hop
    levels = _levels(choice, available, frame_rate, size, f"{family}:{name}")
    info = TokenizerInfo(
        kind="acoustic",
        name=f"{family}:{name}@{levels}",
        fingerprint=fingerprint(network, {"family": family, "levels": levels}),
        frame_rate=frame_rate,
        num_levels=levels,
        codebook_size=size,
        sample_rate=config.sampling_rate,
    )
    return adapter(network.to(device), info, hop)


def _levels(choice: str, available: int, frame_rate: float, codebook_size: int, where: str) -> int:
    """Number of levels from ``""``, ``"8"`` or ``"6kbps"``."""
    per_level = frame_rate * (codebook_size - 1).bit_length() / 1000  # kbit/s
    try:
        if choice.endswith("kbps"):
            levels = round(float(choice.removesuffix("kbps")) / per_level)
        else:
            levels = int(choice) if choice else available
    except ValueError:
        levels = 0
    if not 1 <= levels <= available:
        raise ValueError(
            f"{where}@{choice}: expected 1 to {available} levels, "
            f"or {per_level:g} to {available * per_level:g} kbps, after the @"
        )
    return levels


def _pad(parts: Iterable[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(parts), batch_first=True)


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
        shard_utterances: utterances in one archive; where there are more, a repeated call goes on after the last.

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
        shard_utterances=shard_utterances,
    )
    logger.info("%s: tokens of %d of %d utterances", output, count, len(utterances))
    return count


def _tokens(utterances: Utterances, tokenizer: AcousticTokenizer) -> Iterator[tuple[str, np.ndarray]]:
    # One by one: padding costs more than batches gain on a CPU, and on a GPU reading the audio is what takes
    # time.
    for utt in utterances.ids:
        try:
            wav = utterances.read(utt)
        except (ValueError, FileNotFoundError) as error:
            logger.warning("%s is left out: %s", utt, error)
            continue
        yield utt, tokenizer.encode(torch.from_numpy(wav)[None])[0].cpu().numpy()
