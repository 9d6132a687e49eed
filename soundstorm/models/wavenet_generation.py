"""Samples of a WaveNet one by one: each layer keeps what it will need of the past in a ring buffer."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from soundstorm.models.logistic_mixture import draw
from soundstorm.models.wavenet import CONTEXT, WaveNet, WaveNetLayer, with_context

CHUNK = 2000  # samples, about: whose conditions are computed at once


class _Ring:
    """A layer at work: its inputs at the last ``(kernel - 1) * dilation + 1`` samples."""

    def __init__(self, layer: WaveNetLayer, batch: int):
        weight = layer.dilated.weight  # (gate, residual, kernel)
        self.kernel, self.dilation = layer.kernel, layer.dilation
        self.size = (self.kernel - 1) * self.dilation + 1
        self.past = weight.new_zeros(self.size, batch, weight.shape[1])
        self.taps = [weight[:, :, tap].t().contiguous() for tap in range(self.kernel)]
        self.both = torch.cat([layer.to_residual.weight, layer.to_skip.weight])[:, :, 0].t().contiguous()
        self.bias = torch.cat([layer.to_residual.bias, layer.to_skip.bias])
        self.residual = weight.shape[1]

    def step(self, x: Tensor, condition: Tensor, time: int) -> tuple[Tensor, Tensor]:
        """One sample: (B, R) and (B, gate), which has the convolution's bias, to (B, R) and (B, K)."""
        self.past[time % self.size] = x
        mixed = condition
        for tap, weight in enumerate(self.taps):
            back = (self.kernel - 1 - tap) * self.dilation
            mixed = torch.addmm(mixed, self.past[(time - back) % self.size], weight)
        value, gate = mixed.chunk(2, dim=1)
        out = torch.addmm(self.bias, torch.tanh(value) * torch.sigmoid(gate), self.both)
        return (x + out[:, : self.residual]) * math.sqrt(0.5), out[:, self.residual :]


@torch.inference_mode()
def generate(model: WaveNet, features: Tensor, seeds: Sequence[int]) -> Tensor:
    """Speak several utterances of one length at once.

    Args:
        model: in evaluation mode.
        features: normalised mel spectra ``(B, F, M)``, padded at their ends.
        seeds: of each utterance's random numbers, which are its own.

    Returns:
        Samples ``(B, F * hop)``, on the device of the features.
    """
    batch, device = len(features), features.device
    padded, samples = with_context(features), features.shape[1] * model.hop
    frames = max(1, CHUNK // model.hop)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    rings = [_Ring(layer, batch) for layer in model.layers]
    first, bias = model.first.weight[:, 0, 0], model.first.bias
    hidden, last = (layer.weight[:, :, 0].t().contiguous() for layer in (model.hidden, model.last))
    sample = torch.zeros(batch, device=device)
    made = torch.zeros(batch, samples, device=device)
    mixtures = model.config.mixtures
    for frame in range(0, features.shape[1], frames):
        start = frame * model.hop
        part = model.upsampling(padded[:, frame : frame + frames + 2 * CONTEXT])  # (B, M, samples)
        of_layers = [
            (layer.condition(part) + layer.dilated.bias[:, None]).permute(2, 0, 1).contiguous()
            for layer in model.layers
        ]
        drawn = [torch.rand(part.shape[2], mixtures + 1, generator=generator) for generator in generators]
        noise = torch.stack(drawn, dim=1).to(device)  # (samples, B, mixtures + 1)
        for place in range(part.shape[2]):
            x = sample[:, None] * first + bias
            skip = torch.zeros((), device=device)
            for ring, condition in zip(rings, of_layers, strict=True):
                x, partial = ring.step(x, condition[place], start + place)
                skip = skip + partial
            inside = F.relu(skip * math.sqrt(1 / len(rings)))
            inside = F.relu(torch.addmm(model.hidden.bias, inside, hidden))
            sample = draw(torch.addmm(model.last.bias, inside, last), noise[place])
            made[:, start + place] = sample
    return made
