"""A character CTC recogniser on log-mel spectra, for scoring where no published recogniser fits.

It hears spectra and not the HuBERT whose tokens are under test: a recogniser on the same features would forgive speech
that is right in those features only.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from soundstorm.models.codec.losses import mel_filters
from soundstorm.models.convnext import ConvNeXtStack
from soundstorm.models.recognizer_config import RecognizerConfig

SAMPLE_RATE = 16000
HOP = 160  # samples between spectra
WINDOW, N_FFT = 400, 512  # samples
FLOOR = 1e-4  # of mel magnitudes: below the noise of a recording
BLANK = "<blank>"
UNKNOWN = "<unk>"
WORD_BOUNDARY = "|"  # in the recogniser's alphabet; no relation to a dialogue's turn marker
# CTC begins on a plateau where every frame says the same. With Adam, whose steps have the size of the learning rate,
# a factor on the last layer makes its outputs move, and the plateau end, so many times sooner.
OUTPUT_SCALE = 3.0


def build_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Number the blank, the word boundary and every character of normalised texts."""
    characters = sorted({character for text in texts for character in text} - {" "})
    if not characters:
        raise ValueError("the training texts have no characters; a recogniser needs a transcribed data directory")
    if WORD_BOUNDARY in characters:
        raise ValueError(f"texts still have {WORD_BOUNDARY!r}: normalise them before making an alphabet")
    return {token: i for i, token in enumerate([BLANK, WORD_BOUNDARY, *characters, UNKNOWN])}


def encode_text(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Numbers of a normalised text's characters."""
    unknown = vocabulary[UNKNOWN]
    return [vocabulary.get(WORD_BOUNDARY if c == " " else c, unknown) for c in text]


class LogMel:
    """Log-mel magnitudes, 100 spectra a second."""

    def __init__(self, num_mels: int):
        self.filters = torch.from_numpy(mel_filters(SAMPLE_RATE, N_FFT, num_mels))
        self.window = torch.hann_window(WINDOW)

    def __call__(self, wav: Tensor) -> Tensor:
        """Samples (S,) at 16 kHz to (S // 160 + 1, number of mels)."""
        spectra = torch.stft(wav, N_FFT, HOP, WINDOW, self.window, pad_mode="constant", return_complex=True)
        return (spectra.abs().T @ self.filters).clamp(min=FLOOR).log()


def stack_frames(spectra: Tensor, stack: int) -> Tensor:
    """The network's input: each band with zero mean and unit variance over the recording, spectra side by side.

    Args:
        spectra: (F, M)
        stack: spectra to a frame; what is left at the end is dropped.

    Returns:
        (F // stack, stack * M)
    """
    deviation = spectra.std(0, unbiased=False)
    normalized = (spectra - spectra.mean(0)) / (deviation + 1e-4)
    frames = len(spectra) // stack
    return normalized[: frames * stack].reshape(frames, -1)


class Recognizer(nn.Module):
    """ConvNeXt blocks and a linear layer over characters."""

    def __init__(self, config: RecognizerConfig, vocabulary_size: int):
        super().__init__()
        self.stack = ConvNeXtStack(
            config.stack * config.num_mels, config.width, config.expansion, config.blocks, config.kernel
        )
        self.output = nn.Linear(config.width, vocabulary_size)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Logits over characters.

        Args:
            frames: (B, T, D) of `stack_frames`, padded.
            lengths: (B,) frames of each.

        Returns:
            (B, T, vocabulary)
        """
        inside = torch.arange(frames.shape[1], device=frames.device) < lengths[:, None]
        return self.output(self.stack(frames, inside)) * OUTPUT_SCALE
