"""Mixtures of logistics over 16-bit samples (PixelCNN++, section 2.1; Tacotron 2, section 2.3).

A sample is one of 65,536 levels, ``y = 2 n / 65535 - 1``. Its probability is what the mixture has between
the middles to its neighbours; the outermost levels take the tails, so that all sum to 1. Means and scales are
those of ``127.5 y``, as the paper's targets are scaled, so that a network starts near the loudness of speech.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 1 << 16
SCALE = 127.5
HALF = SCALE / (LEVELS - 1)  # half a level, scaled
# wavenet_vocoder's floor of the logarithm of a scale is -9 for samples that are not scaled.
MIN_LOG_SCALE = -9.0 + math.log(SCALE)
TINIEST = 1e-5  # random numbers stay away from 0 and 1


def quantize(wav: Tensor) -> Tensor:
    """Samples in [-1, 1) to the nearest level's ``y`` in [-1, 1], float32; those of 16-bit files exactly."""
    number = (wav.float() * (LEVELS // 2)).round().clamp(-LEVELS // 2, LEVELS // 2 - 1) + LEVELS // 2
    return number * (2 / (LEVELS - 1)) - 1


def split(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``(..., 3 K)`` to logits of weights, means and logarithms of scales, ``(..., K)`` each."""
    logits, means, log_scales = parameters.chunk(3, dim=-1)
    return logits, means, log_scales.clamp(min=MIN_LOG_SCALE)


def log_likelihood(parameters: Tensor, levels: Tensor) -> Tensor:
    """Logarithm of the probability of each level, in nats.

    With a and b the upper and lower edge in units of the scale, σ(a) - σ(b) = σ(a) σ(-b) (1 - exp(b - a)):
    no difference of numbers that are nearly alike, however far in the tails, hence no branches and no floor.

    Args:
        parameters: ``(..., 3 K)``.
        levels: ``(...)``, as :func:`quantize` gives them.

    Returns:
        ``(...)``.
    """
    logits, means, log_scales = split(parameters.float())
    target = levels[..., None]
    inverse = torch.exp(-log_scales)
    centred = SCALE * target - means
    above, below = (centred + HALF) * inverse, (centred - HALF) * inverse
    lowest, highest = target <= -1 + 0.5 / LEVELS, target >= 1 - 0.5 / LEVELS
    not_above, not_below = F.logsigmoid(above), F.logsigmoid(-below)
    inside = not_above + not_below + torch.log(-torch.expm1(-2 * HALF * inverse))
    each = torch.where(lowest, not_above, torch.where(highest, not_below, inside))
    return torch.logsumexp(F.log_softmax(logits, dim=-1) + each, dim=-1)


def draw(parameters: Tensor, noise: Tensor) -> Tensor:
    """Samples in [-1, 1] of mixtures.

    Args:
        parameters: ``(..., 3 K)``.
        noise: ``(..., K + 1)``, uniform in [0, 1): K numbers choose the logistic, one what it gives.

    Returns:
        ``(...)``.
    """
    logits, means, log_scales = split(parameters.float())
    noise = noise.clamp(TINIEST, 1 - TINIEST)
    chosen = (logits - torch.log(-torch.log(noise[..., :-1]))).argmax(dim=-1, keepdim=True)
    mean, log_scale = means.gather(-1, chosen)[..., 0], log_scales.gather(-1, chosen)[..., 0]
    last = noise[..., -1]
    return ((mean + log_scale.exp() * (last.log() - torch.log1p(-last))) / SCALE).clamp(-1, 1)
