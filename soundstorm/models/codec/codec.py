"""A codec: encoder, residual quantizer, decoder. All families are this one class with other parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.models.codec.codec_config import CodecConfig
from soundstorm.models.codec.grouped_rvq import GroupedResidualVectorQuantizer
from soundstorm.models.codec.rvq import Quantized, ResidualVectorQuantizer

Quantizer = ResidualVectorQuantizer | GroupedResidualVectorQuantizer


@dataclass
class CodecOutput:
    """Outcome of a round trip."""

    wav: Tensor  # (B, S), zero beyond each example's length
    quantized: Quantized


class Codec(nn.Module):
    """Audio to codes and back.

    Audio of S samples has ``T = ceil(S / hop)`` frames: the last frame is completed with zeros so that no
    audio is lost, and decoding gives ``T * hop`` samples. (HuBERT's ``floor`` at the same rate differs by one
    frame at most.)
    """

    def __init__(self, encoder: nn.Module, quantizer: Quantizer, decoder: nn.Module, *, hop: int):
        """
        Args:
            encoder: called with samples (B, T * hop) and a mask (B, T); gives latents (B, T, D).
            quantizer: of those latents.
            decoder: called with latents and mask; gives samples (B, T * hop).
            hop: samples per frame.
        """
        super().__init__()
        self.encoder, self.quantizer, self.decoder, self.hop = encoder, quantizer, decoder, hop

    def forward(
        self, wav: Tensor, lengths: Tensor | None = None, levels: Tensor | None = None
    ) -> CodecOutput:
        """Round trip, differentiable.

        Args:
            wav: (B, S).
            lengths: (B,) samples of each example; all S by default.
            levels: (B,) RVQ levels, of a grouped quantizer stages, to keep of each example; all by default.
        """
        padded, mask = self._frames(wav, lengths)
        quantized = self.quantizer(self.encoder(padded, mask), mask, levels)
        decoded = self.decoder(quantized.latents, mask)[:, : wav.shape[1]]
        if lengths is not None:
            decoded = decoded * _mask(lengths, wav.shape[1])
        return CodecOutput(decoded, quantized)

    def encode(self, wav: Tensor) -> Tensor:
        """Codes (B, T, Q) of ``wav`` (B, S)."""
        padded, mask = self._frames(wav, None)
        return self.quantizer(self.encoder(padded, mask), mask).codes

    def decode(self, codes: Tensor) -> Tensor:
        """Samples (B, T * hop) of codes (B, T, Q)."""
        mask = torch.ones(codes.shape[:2], dtype=torch.bool, device=codes.device)
        return self.decoder(self.quantizer.decode(codes), mask)

    def _frames(self, wav: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Samples completed to whole frames, zero beyond each length, and the mask (B, T) of frames with
        audio.
        """
        num_frames = -(-wav.shape[1] // self.hop)
        padded = F.pad(wav, (0, num_frames * self.hop - wav.shape[1]))
        if lengths is None:
            return padded, torch.ones(len(wav), num_frames, dtype=torch.bool, device=wav.device)
        padded = padded * _mask(lengths, padded.shape[1])
        return padded, _mask(-(-lengths // self.hop), num_frames)


def _mask(lengths: Tensor, size: int) -> Tensor:
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def build_codec(config: CodecConfig) -> Codec:
    """The codec that a configuration describes, with fresh weights."""
    encoder, decoder, dim = config.networks()
    sizes = dim, config.num_levels, config.codebook_size
    options = {
        "code_dim": config.code_dim,
        "decay": config.codebook_decay,
        "dead_code_usage": config.dead_code_usage,
    }
    quantizer: Quantizer
    if config.groups == 1:
        quantizer = ResidualVectorQuantizer(*sizes, **options)
    else:
        quantizer = GroupedResidualVectorQuantizer(*sizes, config.groups, **options)
    return Codec(encoder, quantizer, decoder, hop=config.samples_per_frame)
