"""Schedule, confidence and choice of parallel decoding, each replaceable (SoundStorm, section 3.3).

After every forward pass a *schedule* says how many frames stay masked, a *confidence* ranks the sampled
tokens, and a *choice* commits the best of them. What the paper leaves open is as in MaskGIT.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.sampling import (
    count_within_bound,
    entropy,
    keep_most_confident,
    mean_log_probability,
)
from soundstorm.models.masking import masked_after


@dataclass(frozen=True)
class Proposal:
    """What one forward pass proposes for the M masked frames of B utterances, all at one RVQ level.

    Of a codec with G groups the level is a stage, and every group's token of a frame counts as a frame: token
    g of frame t is the one of number ``t * G + g``, and T below is G times the frames.
    """

    iteration: int  # 1-based
    iterations: int  # of the level
    to_fill: Tensor  # frames masked at the start of the level (B,), on the host
    left: Tensor  # those still masked before this pass (B,), on the host
    masked: Tensor  # bool (B, T)
    rows: Tensor  # indices of the masked frames into B * T (M,)
    logits: Tensor  # (M, N)
    tokens: Tensor  # sampled (M,)
    log_probability: Tensor  # of these tokens (M,)
    noise: Tensor  # standard Gumbel noise (M,)
    groups: int = 1  # G

    @property
    def example(self) -> Tensor:
        """Utterance index of each masked frame (M,)."""
        return self.rows // self.masked.shape[1]

    @property
    def codebook(self) -> Tensor:
        """Utterance and group of each token as one number below B * G (M,): their tokens are of one kind."""
        return self.example * self.groups + self.rows % self.groups

    def laid_out(self, values: Tensor) -> Tensor:
        """Scatter values of the masked frames ``(M,)`` to ``(B, T)``, zeros elsewhere."""
        places = values.new_zeros(self.masked.numel())
        places[self.rows] = values
        return places.view(self.masked.shape)


# (M,): higher is committed sooner.
Confidence = Callable[[Proposal], Tensor]
# Given the confidence (B, T) too: frames that stay masked (B,), int64 on the host, fewer than before.
Schedule = Callable[[Proposal, Tensor], Tensor]
# Of confidence (B, T), masked (B, T) and frames that stay masked (B,): which are committed, bool (B, T).
Choice = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DecodingRules:
    """One of each; ``confidence`` is made anew for every level, to keep state of its first pass."""

    schedule: Schedule
    confidence: Callable[[], Confidence]
    choice: Choice = keep_most_confident

    @classmethod
    def of(cls, config: ParallelConfig) -> "DecodingRules":
        """Rules chosen by the options."""
        return cls(CosineSchedule(config.entropy_bound), lambda: MaskGITConfidence(config))


class MaskGITConfidence:
    """Log-probability of the sampled token plus Gumbel noise annealed to zero over the level.

    ``prior`` times the token's mean log-probability in the level's first pass is subtracted.
    """

    def __init__(self, config: ParallelConfig):
        self.config = config
        self.prior: Tensor | None = None

    def __call__(self, proposal: Proposal) -> Tensor:
        """Confidence of each sampled token ``(M,)``."""
        config, confidence = self.config, proposal.log_probability
        if config.prior:
            if self.prior is None:  # first pass of the level
                kinds = len(proposal.to_fill) * proposal.groups
                self.prior = mean_log_probability(proposal.logits, proposal.codebook, kinds)
            confidence = confidence - config.prior * self.prior[proposal.codebook, proposal.tokens]
        annealing = 1 - proposal.iteration / proposal.iterations
        return confidence + config.choice_temperature * annealing * proposal.noise


@dataclass(frozen=True)
class CosineSchedule:
    """MaskGIT's cosine schedule; with ``entropy_bound`` it also commits what EB-Sampler would."""

    entropy_bound: float = 0.0  # nats; 0 for none

    def __call__(self, proposal: Proposal, confidence: Tensor) -> Tensor:
        """Frames that stay masked ``(B,)``."""
        stay = masked_after(proposal.to_fill, proposal.iteration, proposal.iterations)
        if self.entropy_bound:
            entropies = proposal.laid_out(entropy(proposal.logits))
            within = count_within_bound(confidence, entropies, proposal.masked, self.entropy_bound).cpu()
            stay = torch.minimum(stay, proposal.left - within)
        return stay
