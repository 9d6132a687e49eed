"""Discriminators of HiFi-Codec: periods and rates of the wave (HiFi-GAN's), spectra of five windows (EnCodec's).

They are ESPnet's (release 202511).
"""

from __future__ import annotations

import warnings

import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.errors import InputError
from soundstorm.models.codec.codec_config import CodecLossConfig

PERIODS = (2, 3, 5, 7, 11)  # samples
WINDOWS = (1024, 2048, 512, 256, 128)  # samples of the spectra, each with a quarter as hop


class HifiDiscriminators(nn.Module):
    """All of them in one network, under names of their own, so that a checkpoint cannot mistake them."""

    def __init__(self, config: CodecLossConfig):
        super().__init__()
        try:
            from espnet2.gan_codec.shared.discriminator.msstft_discriminator import (
                MultiScaleSTFTDiscriminator,
            )
            from espnet2.gan_tts.hifigan import (
                HiFiGANMultiPeriodDiscriminator,
                HiFiGANMultiScaleDiscriminator,
            )
        except ImportError as error:
            raise InputError(
                f"loss.discriminators is hifi, which needs espnet 202511 and torchaudio ({error}): "
                "run tools/install.sh"
            ) from error
        first, most = config.wave_channels, config.wave_max_channels
        with warnings.catch_warnings():  # they use an older weight normalization of PyTorch's
            warnings.simplefilter("ignore", FutureWarning)
            if config.wave_discriminators:
                self.periods = HiFiGANMultiPeriodDiscriminator(
                    list(PERIODS), {"channels": first, "max_downsample_channels": most}
                )
                self.scales = HiFiGANMultiScaleDiscriminator(
                    config.wave_discriminators,
                    discriminator_params={"channels": 4 * first, "max_downsample_channels": most},
                    follow_official_norm=True,
                )
            if config.stft_discriminator:
                sizes = list(WINDOWS)
                self.spectra = MultiScaleSTFTDiscriminator(
                    config.stft_channels,
                    n_ffts=sizes,
                    hop_lengths=[size // 4 for size in sizes],
                    win_lengths=sizes,
                )

    def forward(self, wav: Tensor) -> list[list[Tensor]]:
        """Layers' outputs of each discriminator for ``wav`` (B, S), the last of which is its judgement."""
        wav = F.pad(wav.float(), (0, max(0, max(WINDOWS) - wav.shape[1])))[:, None]
        return [layers for family in self.children() for layers in family(wav)]

    def features(self, outputs: list[list[Tensor]]) -> list[list[Tensor]]:
        """The layers that the feature loss compares: HiFi-GAN's judgements are among them, EnCodec's are not."""
        waves = len(outputs) - (self.spectra.num_discriminators if hasattr(self, "spectra") else 0)
        return outputs[:waves] + [layers[:-1] for layers in outputs[waves:]]
