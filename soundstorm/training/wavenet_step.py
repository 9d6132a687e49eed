"""Loss of WaveNet: how unlikely recordings are, in nats for each sample of 65,536 levels."""

from torch import Tensor, nn

from soundstorm.models.logistic_mixture import log_likelihood, quantize
from soundstorm.training.step import Loss, OneNetwork


class WaveNetStep(OneNetwork):
    """Teacher forcing of a :class:`WaveNet`.

    The convention of the figure, which others do not share: the mean over samples of minus the logarithm of the
    probability of the level that a 16-bit file has; 11.1 where all levels are alike.
    """

    def loss(self, phase: str, networks: dict[str, nn.Module], batch: dict[str, Tensor]) -> Loss:
        """Summed over samples; ``batch`` as :meth:`WavesWithFeatures.collate` makes it."""
        levels = quantize(batch["wav"])
        total = -log_likelihood(networks[phase](levels, batch["features"]), levels).sum()
        return Loss(total, float(levels.numel()))
