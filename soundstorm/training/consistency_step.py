"""Contrastive training of the acoustic consistency network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from soundstorm.models.consistency import MAX_SCALE, ConsistencyNetwork, EarlyLayers, contrastive_loss
from soundstorm.models.recognizer import RecognizerLayers
from soundstorm.training.layout import local_shard
from soundstorm.training.step import Loss, OneNetwork


class ConsistencyStep(OneNetwork):
    """One step of CLIP's loss over a batch of recordings."""

    def __init__(self, network: ConsistencyNetwork, features: EarlyLayers | RecognizerLayers):
        super().__init__(network)
        self._features = features  # frozen, so neither trained nor saved

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Loss of the batch, to be divided by the number of recordings."""
        features = self._features.to(batch["wavs"].device)
        hidden = features(batch["wavs"], batch["lengths"])
        embeddings, scale = networks["model"](hidden, features.num_frames(batch["lengths"]))
        first, second = embeddings.chunk(2)
        total, found = contrastive_loss(first, second, scale)
        return Loss(total=total, weight=len(first), metrics={"accuracy": (found, 2 * len(first))})

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Limit the weight and not the scale made of it: beyond a limit in the loss no gradient would lead back."""
        local_shard(self.networks["model"].log_scale).clamp_(max=math.log(MAX_SCALE))
