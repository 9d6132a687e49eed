"""Diffusion of codes by masks and random codes, in closed forms of indices (VQ-Diffusion, Gu et al., 2022).

At each step a code stays, becomes a random one, or becomes the mask, which it then stays. With K codes, a =
keep, b = uniform (for each code) and g = mask, q(x_t = j | x_u = k) = a [j = k] + b and q(x_t = mask | x_u
= k) = g, for one step and, as a chain of such steps is of the same form, for any jump u < t. Codes are
never laid out as one-hot vectors: what is K long here is what the network predicts.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from soundstorm.models.mask_diffusion_config import FIRST_MASKED, KEPT, DiffusionConfig


class Rates(NamedTuple):
    """Probabilities of a jump, float64, of the shape of the times asked for; keep + K uniform + mask is 1."""

    keep: Tensor
    uniform: Tensor  # of each of the K codes
    mask: Tensor


class MaskAndUniform(nn.Module):
    """The chain of T steps over K codes; the mask is code K. Time 0 is clean, T the last."""

    def __init__(self, config: DiffusionConfig, num_codes: int):
        super().__init__()
        self.steps, self.num_codes, self.rises = config.steps, num_codes, config.auxiliary_rises
        kept = [1.0, *np.linspace(*KEPT, self.steps)]
        masked = np.linspace(FIRST_MASKED, 1 - config.uniform, self.steps)
        # Without random codes all that is not masked is kept, exactly.
        unmasked = [1.0, *(1 - masked)] if config.uniform else kept
        for name, values in (("kept", kept), ("unmasked", unmasked)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64), persistent=False)

    def until(self, times: Tensor) -> Rates:
        """From time 0 to ``times``, int64 of any shape."""
        return self._rates(self.kept[times], self.unmasked[times])

    def between(self, earlier: Tensor, later: Tensor) -> Rates:
        """From one time to a later one."""
        return self._rates(
            self.kept[later] / self.kept[earlier], self.unmasked[later] / self.unmasked[earlier]
        )

    def _rates(self, kept: Tensor, unmasked: Tensor) -> Rates:
        return Rates(kept, (unmasked - kept) / self.num_codes, 1 - unmasked)

    def noisy(self, codes: Tensor, times: Tensor, numbers: Tensor) -> Tensor:
        """Codes at a time: one number each says whether it is kept, masked, or which random code it becomes.

        Args:
            codes: int64, any shape.
            times: int64, broadcastable to it.
            numbers: uniform in [0, 1), of the shape of the codes.
        """
        keep, uniform, mask = self.until(times)
        place = (numbers - keep - mask) / uniform.clamp(min=1e-30)
        drawn = place.clamp(0, self.num_codes - 1).long()
        drawn = torch.where(numbers < keep + mask, self.num_codes, drawn)
        return torch.where(numbers < keep, codes, drawn)

    def log_posterior(self, log_p: Tensor, noisy: Tensor, later: Tensor, earlier: Tensor) -> Tensor:
        """The model's x_earlier: sum over x_0 of q(x_earlier | x_later, x_0) p(x_0 | x_later).

        Args:
            log_p: the model's ``(..., K)``, normalised.
            noisy: x_later, int64 ``(...)``.
            later, earlier: int64, broadcastable to it, earlier < later.

        Returns:
            Normalised log-probabilities ``(..., K + 1)``, the mask last.
        """
        jump, now, then = self.between(earlier, later), self.until(later), self.until(earlier)
        seen, place = self._seen(noisy)
        reached = self._log_reached(log_p, noisy, later, earlier)
        moved = torch.where(seen, jump.uniform, jump.mask / now.mask).log()
        stayed = torch.where(seen, jump.keep + jump.uniform, jump.mask / now.mask).log()
        codes = reached + moved[..., None].to(reached.dtype)
        at_place = reached.gather(-1, place) + stayed[..., None].to(reached.dtype)
        at_place = torch.where((seen & (now.uniform <= 0))[..., None], 0.0, at_place)  # it stays
        masked = torch.where(seen, 0.0, then.mask / now.mask).log()[..., None].to(reached.dtype)
        return torch.cat([codes.scatter(-1, place, at_place), masked], -1).log_softmax(-1)

    def divergence(self, log_p: Tensor, noisy: Tensor, codes: Tensor, times: Tensor) -> Tensor:
        """KL(q(x_{t-1} | x_t, x_0) || the model's), which at t = 1 is the cross-entropy of x_0.

        Args:
            log_p: the model's of x_0, ``(..., K)``, normalised.
            noisy: x_t, int64 ``(...)``.
            codes: x_0, int64 ``(...)``.
            times: t >= 1, int64, broadcastable to it.

        Returns:
            Nats ``(...)``, of the type of ``log_p``.
        """
        jump, now, then = self.between(times - 1, times), self.until(times), self.until(times - 1)
        seen, place = self._seen(noisy)
        right = seen & (noisy == codes)
        wrong = seen & (noisy != codes)
        # q(x_{t-1} = k) is moved [k != x_t] or stayed [k = x_t], times keep [k = x_0] + uniform.
        chance = torch.where(seen, now.uniform + right * now.keep, 1.0)  # q(x_t | x_0), the mask's in `moved`
        moved = torch.where(seen, jump.uniform, jump.mask / now.mask) / chance
        stayed = moved + seen * jump.keep / chance
        at_code = torch.where(right, stayed, moved) * (then.keep + then.uniform)
        at_noisy = wrong * stayed * then.uniform
        elsewhere = moved * then.uniform
        number = self.num_codes - 1 - wrong.long()
        entropy = torch.xlogy(at_code, (then.keep + then.uniform) / chance)
        entropy = entropy + torch.xlogy(number * elsewhere + at_noisy, then.uniform / chance)
        reached = self._log_reached(log_p, noisy, times, times - 1)
        of_code, of_noisy = (reached.gather(-1, i)[..., 0] for i in (codes[..., None], place))
        rest = reached.sum(-1) - of_code - wrong * of_noisy
        found = entropy - at_code * of_code - at_noisy * of_noisy - elsewhere * rest
        # Without random codes a code that is seen is the right one, and nothing is to be learned.
        return torch.where(seen & (now.uniform <= 0), 0.0, found).to(log_p.dtype)

    def auxiliary(self, times: Tensor) -> Tensor:
        """Weight of the cross-entropy at a time: falling from 2 at the first to 1 + 1/T, or rising from 1."""
        noise = (times - 1) / self.steps
        return 1 + noise if self.rises else 2 - noise

    def _seen(self, noisy: Tensor) -> tuple[Tensor, Tensor]:
        """Whether a code is not masked, and its index ``(..., 1)``, any where it is."""
        return noisy < self.num_codes, noisy.clamp(max=self.num_codes - 1)[..., None]

    def _log_reached(self, log_p: Tensor, noisy: Tensor, later: Tensor, earlier: Tensor) -> Tensor:
        """Log of sum over x_0 of q(x_earlier = k | x_0) p(x_0) / q(x_later | x_0), ``(..., K)``, for each k.

        Where x_later is masked the denominator is the same for all x_0, and left out.
        """
        now, then = self.until(later), self.until(earlier)
        seen, place = self._seen(noisy)
        other = torch.where(seen & (now.uniform > 0), now.uniform, 1.0).log()
        same = torch.where(seen, now.keep + now.uniform, 1.0).log()
        own = torch.where(seen, other - same, 0.0)
        ratio = log_p - other[..., None].to(log_p.dtype)
        ratio = ratio.scatter_add(-1, place, own[..., None].to(log_p.dtype))
        kept, uniform = (rate.log().expand(noisy.shape)[..., None].to(log_p.dtype) for rate in then[:2])
        return torch.logaddexp(ratio + kept, ratio.logsumexp(-1, keepdim=True) + uniform)
