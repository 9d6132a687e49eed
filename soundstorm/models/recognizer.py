"""A character CTC recogniser on log-mel spectra: for scoring where no published one fits, and for tokens.

That of the scores listens to spectra, never through the model whose tokens are under test, which would
forgive speech that is right in those features only: a recogniser behind the tokens is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from soundstorm.data.characters import BLANK, WORD_BOUNDARY
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights, read_config
from soundstorm.data.log_mel import HOP, SAMPLE_RATE, LogMel, stack_frames
from soundstorm.data.pack import part_of
from soundstorm.models.convnext import ConvNeXtStack
from soundstorm.models.recognizer_config import RecognizerConfig

# CTC begins on a plateau where all frames have the same output. With Adam, whose steps have the size of the
# learning rate, a factor on the last layer makes its outputs move, and the plateau end, so many times sooner.
OUTPUT_SCALE = 3.0


class CtcNetwork(nn.Module):
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


class RecognizerLayers(nn.Module):
    """A frozen recogniser up to the output of one of its blocks.

    Spectra are normalised over each recording by itself: features do not depend on the company. The first spectrum
    is centred on the first sample, so that frames are centred 80 samples before the middle of their hops.
    """

    def __init__(self, source: str | Path, layer: int):
        """
        Args:
            source: experiment directory of ``train_recognizer``.
            layer: 0 for what enters the first block, up to the number of blocks.

        Raises:
            FileNotFoundError: there is none.
            InputError: an experiment of another kind, or no such layer.
        """
        super().__init__()
        self.network, config, _ = load_ctc_network(source)
        self.network.requires_grad_(False)
        if not 0 <= layer <= config.blocks:
            raise InputError(f"layer {layer} of {source} was asked for, but it has layers 0 to {config.blocks}")
        self.layer, self.width, self.frames_together = layer, config.width, config.stack
        self.hop, self.log_mel = HOP * config.stack, LogMel(config.num_mels)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) to frames (B,), one to every whole hop."""
        return lengths // self.hop

    @torch.no_grad()
    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Padded samples (B, S) at 16 kHz and their number (B,) to features (B, T, D)."""
        frames = self.num_frames(lengths)
        with torch.autocast(wavs.device.type, enabled=False):
            spectra = [
                stack_frames(self.log_mel(wav[:length]), self.frames_together)[:number]
                for wav, length, number in zip(wavs, lengths.tolist(), frames.tolist())
            ]
        padded = pad_sequence(spectra, batch_first=True)
        inside = torch.arange(padded.shape[1], device=wavs.device) < frames[:, None]
        return self.network.stack.after(self.layer, padded, inside)


@dataclass(frozen=True)
class TrainedRecognizer:
    """What scoring needs of a trained recogniser.

    Attributes:
        sample_rate: Hz.
        vocabulary: character to column.
        log_probabilities: samples (S,) to float32 (T, V).
    """

    sample_rate: int
    vocabulary: dict[str, int]
    log_probabilities: Callable[[np.ndarray], np.ndarray]


def load_ctc_network(
    expdir: str | Path, *, device: str = "cpu"
) -> tuple[CtcNetwork, RecognizerConfig, dict[str, int]]:
    """Network, settings and vocabulary (character to column) of an experiment directory or a pack.

    Raises:
        FileNotFoundError: not an experiment directory, or training has not finished.
        InputError: an experiment of another kind.
    """
    expdir = part_of(expdir, "recognizer")
    config = read_config(expdir)
    if "vocabulary" not in config:
        raise InputError(f"{expdir}: not a recogniser, its config.yaml has sections {sorted(config)}")
    model_config = config_section(expdir, "model", RecognizerConfig)
    vocabulary = config["vocabulary"]
    columns = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    numbered = sorted(map(str, columns)) == sorted(map(str, range(len(columns))))
    if not numbered or not {BLANK, WORD_BOUNDARY} <= set(vocabulary):
        raise InputError(
            f"{expdir}/config.yaml: vocabulary does not number characters with <blank> and | from 0"
        )
    model = CtcNetwork(model_config, len(vocabulary))
    load_weights(expdir, model)
    return model.to(device).eval(), model_config, vocabulary


def load_trained_recognizer(expdir: str | Path, *, device: str = "cpu") -> TrainedRecognizer:
    """The recogniser of an experiment directory.

    Raises:
        FileNotFoundError, InputError: as `load_ctc_network`.
    """
    model, model_config, vocabulary = load_ctc_network(expdir, device=device)
    log_mel = LogMel(model_config.num_mels)

    @torch.inference_mode()
    def log_probabilities(wav: np.ndarray) -> np.ndarray:
        # A recording too short for a frame is silence to the recogniser, not an error.
        wav = np.pad(wav, (0, max(0, model_config.stack * HOP - len(wav)))).astype(np.float32)
        frames = stack_frames(log_mel(torch.from_numpy(wav)), model_config.stack)[None].to(device)
        logits = model(frames, torch.tensor([frames.shape[1]], device=device))
        return logits[0].float().log_softmax(-1).cpu().numpy()

    return TrainedRecognizer(SAMPLE_RATE, vocabulary, log_probabilities)
