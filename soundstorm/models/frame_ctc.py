"""A character CTC recogniser on the features of a frozen HuBERT: learns in a minute what fine-tuning does not."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import HubertConfig, HubertModel

from soundstorm.models.codec.istft_codec import ConvNeXtStack

STACKED = 2  # HuBERT frames to one of ours: 25 a second are enough for letters, and half the work


class FrameCtc(nn.Module):
    """Layers of a frozen HuBERT, two frames at a time, ConvNeXt blocks, characters."""

    def __init__(
        self,
        hubert: HubertConfig,
        vocabulary_size: int,
        *,
        layers: tuple[int, ...],
        width: int,
        blocks: int,
        kernel: int,
    ):
        """
        Args:
            hubert: shape of the HuBERT.
            vocabulary_size: characters, blank and word boundary included.
            layers: HuBERT layers whose outputs are put side by side; 0 is before the first.
            width, blocks, kernel: of the ConvNeXt stack.
        """
        super().__init__()
        self.hubert = HubertModel(hubert).eval().requires_grad_(False)
        self.layers = layers
        self.stack = ConvNeXtStack(STACKED * len(layers) * hubert.hidden_size, width, 3, blocks, kernel)
        self.output = nn.Linear(width, vocabulary_size)

    @torch.no_grad()
    def features(self, wav: Tensor) -> Tensor:
        """Input of :meth:`forward` for one recording ``(S,)``: ``(T, D)``, each dimension normalised over it."""
        self.hubert.eval()
        wav = (wav - wav.mean()) / torch.sqrt(wav.var(unbiased=False) + 1e-7)
        hidden = self.hubert(wav[None], output_hidden_states=True).hidden_states
        frames = torch.cat([hidden[layer][0] for layer in self.layers], dim=-1)
        frames = (frames - frames.mean(0)) / (frames.std(0) + 1e-4)
        count = len(frames) // STACKED
        return frames[: count * STACKED].reshape(count, -1)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: ``(T, D)`` of each recording.

        Returns:
            logits ``(B, T, V)`` and lengths ``(B,)``.
        """
        lengths = torch.tensor([len(frames) for frames in features], device=features[0].device)
        padded = pad_sequence(features, batch_first=True)
        inside = torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]
        return self.output(self.stack(padded, inside)), lengths
