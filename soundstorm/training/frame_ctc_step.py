"""CTC training on stored features of a frozen HuBERT."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundstorm.data.audio import Utterances
from soundstorm.data.sampler import Draw
from soundstorm.models.frame_ctc import FrameCtc
from soundstorm.models.recognizer import BLANK, encode_text
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.trainer import Loss


class FeatureDataset:
    """Features of transcribed recordings, computed once and kept in memory, with their characters."""

    def __init__(
        self,
        utterances: Utterances,
        texts: Mapping[str, str],
        vocabulary: dict[str, int],
        model: FrameCtc,
        config: RecognizerConfig | None = None,
    ):
        """
        Args:
            utterances: the recordings.
            texts: utterance -> normalised text; utterances without one are left out.
            vocabulary: characters to numbers.
            model: makes the features.
            config: how much of them to hide in training; None for validation.
        """
        kept = [i for i, utt in enumerate(utterances.ids) if texts.get(utt)]
        if not kept:
            raise ValueError(f"none of {len(utterances.ids)} utterances has a text; a recogniser needs transcripts")
        self.durations = np.asarray(utterances.durations)[kept]
        ids = [utterances.ids[i] for i in kept]
        self.features = [model.features(torch.from_numpy(utterances.read(utt))) for utt in ids]
        self.targets = [torch.tensor(encode_text(texts[utt], vocabulary)) for utt in ids]
        self.config = config

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        """Features ``(T, D)``, with spans of frames silenced and noise added in training, and targets ``(L,)``."""
        features = self.features[draw.index]
        if self.config is not None:
            rng = np.random.default_rng(draw.seed)
            features = features.clone()
            for _ in range(rng.binomial(len(features), self.config.mask_share / self.config.mask_span)):
                start = rng.integers(len(features))
                features[start : start + self.config.mask_span] = 0.0
            noise = rng.standard_normal(features.shape, dtype=np.float32) * (self.config.feature_noise * rng.random())
            features += torch.from_numpy(noise.astype(np.float32))
        return {"features": features, "targets": self.targets[draw.index]}

    def collate(self, items: list[dict[str, Tensor]]) -> dict:
        """Lists, which the network pads itself."""
        return {
            "features": [item["features"] for item in items],
            "targets": torch.cat([item["targets"] for item in items]),
            "target_lengths": torch.tensor([len(item["targets"]) for item in items]),
        }


class FrameCtcStep:
    """One CTC step."""

    phases = ("model",)

    def __init__(self, model: FrameCtc, vocabulary: dict[str, int]):
        self.networks: dict[str, nn.Module] = {"model": model}
        self.blank = vocabulary[BLANK]

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict) -> Loss:
        """Negative log likelihood, to be divided by the number of characters."""
        device = batch["targets"].device
        logits, lengths = networks["model"]([features.to(device) for features in batch["features"]])
        total = F.ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1),
            batch["targets"],
            lengths,
            batch["target_lengths"],
            blank=self.blank,
            reduction="sum",
            zero_infinity=True,
        )
        return Loss(total, batch["target_lengths"].sum(), {})
