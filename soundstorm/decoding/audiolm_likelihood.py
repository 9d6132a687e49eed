"""Log-likelihood of speech under AudioLM's semantic stage: the score of sWUGGY and sBLIMP (as in AudioLM)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from soundstorm.data.audiolm_stages import SEMANTIC
from soundstorm.data.batching import batch_by_length
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.errors import InputError
from soundstorm.decoding.audiolm_generator import BATCH_COLUMNS, LanguageModel
from soundstorm.models.audiolm import Columns


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of one utterance."""

    total: float  # natural logarithm
    num_tokens: int  # without repeats

    @property
    def per_token(self) -> float:
        """Normalised by the length, which is the paper's score."""
        return self.total / self.num_tokens


@torch.inference_mode()
def log_likelihoods(model: LanguageModel, tokens: Sequence[np.ndarray]) -> list[Likelihood]:
    """Log-likelihood of each utterance.

    Consecutive repeats are removed, as in training. The end token is not counted: words and sentences are
    compared, and speech seldom ends after one word.

    Args:
        model: the semantic stage.
        tokens: semantic tokens ``(T,)`` of each utterance.

    Returns:
        One for each utterance; the same alone and in a batch.

    Raises:
        ValueError: another stage, or an utterance without tokens.
    """
    if model.stage != SEMANTIC:
        raise InputError(
            f"likelihoods of semantic tokens need AudioLM's semantic stage, got its {model.stage} one"
        )
    if not model.layout.ends:
        raise InputError(
            "the semantic stage was trained with repeats of tokens (data.semantic_repeats), which likelihoods of "
            "words leave out; train it without"
        )
    empty = [number for number, utterance in enumerate(tokens, start=1) if len(utterance) == 0]
    if empty:
        raise InputError(f"utterance {empty[0]} has no semantic tokens; it is shorter than a frame")
    nothing = np.zeros(0, np.int64)
    kept = [deduplicate(np.asarray(utterance).astype(np.int64)) for utterance in tokens]
    rows = [model.layout.row(nothing, nothing, utterance[:, None]) for utterance in kept]
    results: list[Likelihood | None] = [None] * len(rows)
    device = model.model.embed.weight.device
    for batch in batch_by_length([len(row.ids) for row in rows], BATCH_COLUMNS):
        fields = {name: value.to(device) for name, value in collate_rows([rows[i] for i in batch]).items()}
        states = model.model.encode(Columns(*(fields[name] for name in ("ids", "times", "due", "condition"))))
        likely = model.model.level_logits(states, 0).double().log_softmax(-1)
        found = likely.gather(-1, fields["classes"].clamp(min=0)[..., None])[..., 0]
        totals = torch.where(fields["levels"] == 0, found, 0.0).sum(-1)
        for i, total in zip(batch, totals.tolist(), strict=True):
            results[i] = Likelihood(total, len(kept[i]))
    return results
