"""The loss of mask diffusion: the bound, one time of the chain for each example, and some cross-entropy."""

import torch
from torch import Tensor, nn

from soundstorm.models.collectives import sum_over_processes
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.training.step import Loss, OneNetwork

WARMUP = 10  # draws of every time before the losses are believed
DECAY = 0.9  # of the mean square of a time's loss


class ImportantTimes:
    """Draws times of the chain as often as their losses are large, alike on all processes (VQ-Diffusion)."""

    def __init__(self, steps: int):
        self.square = torch.zeros(steps, dtype=torch.float64)  # mean square of the loss at each time
        self.drawn = torch.zeros(steps, dtype=torch.float64)
        self._new = torch.zeros(2, steps, dtype=torch.float64)  # this process's squares and draws, not yet in

    def to(self, device: torch.device) -> "ImportantTimes":
        """Work there."""
        self.square, self.drawn, self._new = (x.to(device) for x in (self.square, self.drawn, self._new))
        return self

    def chances(self) -> Tensor:
        """Probability of each time ``(T,)``: as the root of its mean square, alike until all are known."""
        root = (self.square + 1e-10).sqrt() + 1e-4
        if len(root) > 1:  # the loss of time 1 is of another kind
            root = torch.cat([root[1:2], root[1:]])
        return torch.where((self.drawn > WARMUP).all(), root / root.sum(), 1 / len(root))

    def draw(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Times, from 1, and their probabilities, by inverting the distribution at ``numbers (B,)``."""
        chances = self.chances()
        reached = chances.cumsum(0)
        place = torch.searchsorted(reached, numbers * reached[-1], right=True).clamp(max=len(chances) - 1)
        return place + 1, chances[place]

    def note(self, times: Tensor, losses: Tensor) -> None:
        """Losses ``(B,)`` of examples at these times; those that are no numbers teach nothing."""
        squares, finite = losses.detach().double().square(), losses.isfinite()
        self._new[0].index_add_(0, times - 1, torch.where(finite, squares, 0.0))
        self._new[1].index_add_(0, times - 1, finite.double())

    def update(self) -> None:
        """Take in what all processes have noted; all of them must call it."""
        squares, count = sum_over_processes(self._new)
        moved = torch.lerp(squares / count.clamp(min=1), self.square, DECAY)
        self.square = torch.where(count > 0, moved, self.square)
        self.drawn = self.drawn + count
        self._new = torch.zeros_like(self._new)


class MaskDiffusionStep(OneNetwork):
    """Trains a :class:`MaskDiffusion` on batches of :class:`DiffusionTokens`."""

    def __init__(self, model: MaskDiffusion, auxiliary_weight: float):
        super().__init__(model)
        self.chain, self.auxiliary_weight = model.chain, auxiliary_weight
        self.times = ImportantTimes(model.chain.steps)

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over the target's codes, so that the trainer can divide by their number on all processes.

        Each example's sum over the times of the chain is estimated by the one that is drawn.
        """
        codes, chain = batch["codes"], self.chain
        training = networks[phase].training
        # Validation draws evenly, so that figures of different steps can be compared.
        sampling = (self.times if training else ImportantTimes(chain.steps)).to(codes.device)
        times, chances = sampling.draw(batch["time"])
        frames = torch.arange(codes.shape[1], device=codes.device)
        target = (frames >= batch["prompt_end"][:, None]) & (frames < batch["lengths"][:, None])
        noisy = chain.noisy(codes, times[:, None, None], batch["noise"])
        noisy = torch.where(target[:, :, None], noisy, codes)
        rows = target.flatten().nonzero()[:, 0]
        logits = networks[phase](batch["semantic"], noisy, times, batch["prompt_end"], batch["lengths"], rows)
        log_p, example = logits.float().log_softmax(-1), rows // codes.shape[1]
        noisy, codes, at = noisy.flatten(0, 1)[rows], codes.flatten(0, 1)[rows], times[example][:, None]
        bound = chain.divergence(log_p, noisy, codes, at)
        entropy = -log_p.gather(-1, codes[..., None])[..., 0]
        often = chances[example][:, None]
        losses = (bound + self.auxiliary_weight * chain.auxiliary(at) * entropy) / often
        if training:
            cells = torch.zeros_like(chances).index_add_(0, example, torch.ones_like(often[:, 0]))
            sums = torch.zeros_like(chances).index_add_(0, example, bound.detach().mean(-1).double())
            sampling.note(times, sums / cells)
        with torch.no_grad():
            hidden = noisy == chain.num_codes
            right = (log_p.argmax(-1) == codes) & hidden
            metrics = {
                "bound": ((bound / often).sum(), float(codes.numel())),
                "masked_loss": ((entropy * hidden).sum(), hidden.sum()),
                "masked_accuracy": (right.sum(), hidden.sum()),
            }
        return Loss(losses.sum().float(), float(codes.numel()), metrics)

    def after_step(self, step: int) -> None:
        """Let the distribution of times follow the losses."""
        self.times.update()

    def state(self) -> dict[str, Tensor]:
        """What was learned of the losses of each time."""
        return {"square": self.times.square, "drawn": self.times.drawn}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on with it."""
        self.times.square, self.times.drawn = tensors["square"], tensors["drawn"]
