"""Embedding of acoustic conditions to measure SoundStorm's drift, trained with CLIP's loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from soundstorm.data.audio import normalize
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.log_mel import SAMPLE_RATE
from soundstorm.data.pack import own_ssl_model, part_of
from soundstorm.models.collectives import gather_rows
from soundstorm.models.consistency_config import ConsistencyConfig, DataSources
from soundstorm.models.fast_path import build_conformer
from soundstorm.models.recognizer import RecognizerLayers
from soundstorm.models.recognizer_config import RECOGNIZER
from soundstorm.models.ssl_model import load_ssl_model, sees_padding

MAX_SCALE = 100.0  # CLIP's limit on the inverse temperature


class EarlyLayers(nn.Module):
    """A frozen self-supervised model cut after an early layer, since those keep acoustic conditions."""

    def __init__(self, ssl_model: PreTrainedModel, layer: int):
        super().__init__()
        if layer > len(ssl_model.encoder.layers):
            raise InputError(
                f"model.layer is {layer}, but the model has {len(ssl_model.encoder.layers)} layers; "
                "choose one of them"
            )
        ssl_model.encoder.layers = ssl_model.encoder.layers[:layer]
        ssl_model.config.num_hidden_layers = layer
        # Some end with a norm that no inner layer has.
        if getattr(ssl_model.config, "do_stable_layer_norm", False):
            ssl_model.encoder.layer_norm = nn.Identity()
        self.ssl_model = ssl_model.eval().requires_grad_(False)
        self.width = ssl_model.config.hidden_size

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Samples (B,) to frames (B,)."""
        return self.ssl_model._get_feat_extract_output_lengths(lengths)

    @torch.no_grad()
    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Padded samples (B, S) and their number (B,) to features (B, T, F)."""
        if sees_padding(self.ssl_model.config):
            alone = [
                self.ssl_model(wav[None, :n]).last_hidden_state[0] for wav, n in zip(wavs, lengths.tolist())
            ]
            return nn.utils.rnn.pad_sequence(alone, batch_first=True)
        attention_mask = (torch.arange(wavs.shape[1], device=wavs.device) < lengths[:, None]).long()
        return self.ssl_model(wavs, attention_mask=attention_mask).last_hidden_state


class ConsistencyNetwork(nn.Module):
    """Features of a crop to one vector of unit length."""

    def __init__(
        self,
        feature_dim: int,
        *,
        width: int = 512,
        heads: int = 8,
        embedding_dim: int = 1024,
        dropout: float = 0.1,
    ):
        """Build with random weights.

        Args:
            feature_dim: Of the model that it listens through.
            width: Of the Conformer layer.
            heads: Attention heads.
            embedding_dim: Of the result.
            dropout: In the Conformer layer.
        """
        super().__init__()
        self.input = nn.Sequential(nn.LayerNorm(feature_dim), nn.Linear(feature_dim, width))
        self.layer = build_conformer(
            layers=1, width=width, heads=heads, inner=4 * width, kernel=5, expansion=2, dropout=dropout
        )
        self.output = nn.Linear(width, embedding_dim)
        # Inverse temperature, CLIP's start. With a dimension, so that it can be shared among processes.
        self.log_scale = nn.Parameter(torch.tensor([1 / 0.07]).log())

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, D) and the scale of their products: all that the loss uses of the weights."""
        return self.embed(features, frames), self.scale()

    def embed(self, features: Tensor, frames: Tensor) -> Tensor:
        """Features (B, T, F) and their number (B,) to embeddings (B, D)."""
        hidden = self.layer(self.input(features), frames)
        inside = (torch.arange(hidden.shape[1], device=hidden.device) < frames[:, None])[:, :, None]
        mean = (hidden * inside).sum(dim=1) / frames[:, None]
        return F.normalize(self.output(mean).float(), dim=-1)

    def scale(self) -> Tensor:
        """Inverse temperature of the loss, which training limits as CLIP does."""
        return self.log_scale.squeeze(0).exp()


def contrastive_loss(first: Tensor, second: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """CLIP's symmetric cross-entropy: each crop must find its partner in the batch of all processes.

    Args:
        first: (B, D) unit vectors of one crop of each recording of this process.
        second: (B, D) of another crop of the same recordings.
        scale: Inverse temperature.

    Returns:
        Sum over recordings of the mean of both directions, and how often (0 to 2B) the partner was found.
    """
    (firsts, _), (seconds, rank) = gather_rows(first), gather_rows(second)
    with torch.autocast(first.device.type, enabled=False):  # bf16 would round a similarity times 100 by up to 0.25
        logits = scale * first @ torch.cat(seconds).T  # (B, those of all processes)
        reverse = logits.T if len(firsts) == 1 else scale * second @ torch.cat(firsts).T
    partner = torch.arange(len(logits), device=logits.device) + sum(map(len, firsts[:rank]))
    total = sum(F.cross_entropy(part, partner, reduction="sum") for part in (logits, reverse)) / 2
    found = sum((part.argmax(dim=-1) == partner).sum() for part in (logits, reverse))
    return total, found


def build_consistency(
    config: ConsistencyConfig, ssl_model: str, *, local_only: bool = False
) -> tuple[ConsistencyNetwork, EarlyLayers | RecognizerLayers, bool, int]:
    """A network with random weights and the model that it listens through.

    Args:
        config: of the network.
        ssl_model: local transformers directory or hub name, or ``recognizer:`` and an experiment directory.
        local_only: as of :func:`soundstorm.models.hub.model_directory`.

    Returns:
        The network, the early layers, whether they want zero mean and unit variance, and their rate in Hz.
    """
    if ssl_model.startswith(RECOGNIZER):
        features = RecognizerLayers(ssl_model.removeprefix(RECOGNIZER), config.layer)
        do_normalize, sample_rate = False, SAMPLE_RATE
    else:
        model, do_normalize, sample_rate = load_ssl_model(ssl_model, local_only=local_only)
        features = EarlyLayers(model, config.layer)
    network = ConsistencyNetwork(
        features.width,
        width=config.width,
        heads=config.heads,
        embedding_dim=config.embedding_dim,
        dropout=config.dropout,
    )
    return network, features, do_normalize, sample_rate


def load_consistency(expdir: str | Path, *, device: str = "cpu") -> Callable[[np.ndarray], np.ndarray]:
    """A trained network as a function from samples (S,) to an embedding (D,)."""
    expdir = part_of(expdir, "consistency")
    model_config = config_section(expdir, "model", ConsistencyConfig)
    source = own_ssl_model(expdir, config_section(expdir, "data", DataSources).ssl_model)
    try:
        network, features, do_normalize, _ = build_consistency(model_config, source, local_only=True)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{expdir}/config.yaml names the model that it listens through: {error}") from error
    load_weights(expdir, network)
    network.to(device).eval()
    features.to(device)

    @torch.inference_mode()
    def embed(wav: np.ndarray) -> np.ndarray:
        samples = torch.from_numpy(normalize(wav) if do_normalize else wav).to(device)[None]
        length = torch.tensor([samples.shape[1]], device=device)
        return network.embed(features(samples, length), features.num_frames(length))[0].cpu().numpy()

    return embed
