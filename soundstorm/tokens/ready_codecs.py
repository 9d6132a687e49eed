"""Ready codecs, through transformers: a new one is a class here and a line of :data:`READY_CODECS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.errors import InputError
from soundstorm.models.devices import exact_products
from soundstorm.models.hub import pinned
from soundstorm.tokens.fingerprint import fingerprint

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class ReadyCodec:
    """A codec of transformers as an acoustic tokenizer. A class for one says what is its own."""

    model_type: str  # in config.json of transformers

    def __init__(self, network: nn.Module, info: TokenizerInfo):
        self.network, self.info = network.eval().requires_grad_(False), info
        self.hop = self.hop_of(network.config)
        self.device = next(network.parameters()).device

    @staticmethod
    def hop_of(config: PretrainedConfig) -> int:
        """Samples per frame."""
        return round(config.sampling_rate / config.frame_rate)

    @staticmethod
    def num_levels_of(network: nn.Module) -> int:
        """RVQ levels that there are."""
        raise NotImplementedError

    def encode_one(self, wav: Tensor) -> Tensor:
        """(1, 1, S) to (T, Q);

        of the codes (1, Q, T) the chosen levels, which do not depend on the finer ones.
        """
        return self.network.encode(wav).audio_codes[0, : self.info.num_levels].T

    def decode_one(self, codes: Tensor) -> Tensor:
        """(1, Q, T) to (S,)."""
        return self.network.decode(audio_codes=codes).audio_values.reshape(-1)

    @torch.inference_mode()
    @exact_products()
    def encode(self, wav: Tensor) -> Tensor:
        """Samples ``(B, S)`` to codes ``(B, T, Q)``."""
        return torch.stack([self.encode_one(one[None, None].to(self.device)) for one in wav])

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, T, Q)`` to samples ``(B, S)``."""
        return torch.stack([self.decode_one(one.T[None].to(self.device)) for one in codes])


class Encodec(ReadyCodec):
    """EnCodec (Defossez et al., 2022)."""

    model_type = "encodec"

    @staticmethod
    def num_levels_of(network: nn.Module) -> int:
        """Levels at the highest bit rate."""
        return len(network.quantizer.layers)

    def encode_one(self, wav: Tensor) -> Tensor:
        """As of :class:`ReadyCodec`."""
        bandwidth = max(self.network.config.target_bandwidths)
        # A leading axis for chunks, of which a model without chunk length has one.
        return self.network.encode(wav, bandwidth=bandwidth).audio_codes[0, 0, : self.info.num_levels].T

    def decode_one(self, codes: Tensor) -> Tensor:
        """As of :class:`ReadyCodec`."""
        return self.network.decode(codes[None], [None]).audio_values.reshape(-1)


class Dac(ReadyCodec):
    """Descript's codec (Kumar et al., 2023)."""

    model_type = "dac"

    @staticmethod
    def hop_of(config: PretrainedConfig) -> int:
        """Samples per frame."""
        return config.hop_length

    @staticmethod
    def num_levels_of(network: nn.Module) -> int:
        """All of them."""
        return network.config.n_codebooks


class Mimi(ReadyCodec):
    """Mimi (Defossez et al., 2024)."""

    model_type = "mimi"

    @staticmethod
    def num_levels_of(network: nn.Module) -> int:
        """All of them; the first one is semantic."""
        return network.config.num_quantizers

    def decode_one(self, codes: Tensor) -> Tensor:
        """As of :class:`ReadyCodec`."""
        return self.network.decode(codes).audio_values.reshape(-1)


READY_CODECS: dict[str, type[ReadyCodec]] = {
    "encodec": Encodec,
    "dac": Dac,
    "mimi": Mimi,
}


def load_ready_codec(kind: str, name: str, choice: str, device: str | torch.device) -> ReadyCodec:
    """A ready codec.

    Args:
        kind: which of :data:`READY_CODECS`.
        name: hub name, perhaps with @ and a commit, or local directory.
        choice: levels to use, as a number or a bit rate; empty for all.
        device: where it works.

    Raises:
        FileNotFoundError: there is none of that name.
        ValueError: of another kind or damaged, stereo or separate chunks, or levels that it has not.
    """
    from soundstorm.models.ssl_model import load_pretrained  # transformers takes seconds

    codec_class = READY_CODECS[kind]
    name = pinned(name)
    prefixes = ", ".join(f"{known}:" for known in READY_CODECS)
    remedy = f"give the prefix of its type before the name, if that is one of {prefixes}"
    network = load_pretrained(name, f"codec of type {kind}", (codec_class.model_type,), remedy=remedy)
    config = network.config
    if getattr(config, "audio_channels", 1) != 1 or getattr(config, "chunk_length_s", None) is not None:
        raise InputError(
            f"{kind}:{name}: codes stereo or separate chunks, expected a model of mono speech in one piece "
            "(for EnCodec: facebook/encodec_24khz)"
        )
    frame_rate = config.sampling_rate / codec_class.hop_of(config)
    available = codec_class.num_levels_of(network)
    levels = _choose_levels(choice, available, frame_rate, config.codebook_size, f"{kind}:{name}")
    info = TokenizerInfo(
        kind="acoustic",
        name=f"{kind}:{name}@{levels}",
        fingerprint=fingerprint(network, {"family": kind, "levels": levels}),
        frame_rate=frame_rate,
        num_levels=levels,
        codebook_size=config.codebook_size,
        sample_rate=config.sampling_rate,
    )
    return codec_class(network.to(device), info)


def _choose_levels(choice: str, available: int, frame_rate: float, codebook_size: int, where: str) -> int:
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
        raise InputError(
            f"{where}@{choice}: expected 1 to {available} levels, "
            f"or {per_level:g} to {available * per_level:g} kbps, after the @"
        )
    return levels
