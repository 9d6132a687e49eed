"""Settings of HuBERT pre-training. Free of torch, so that fronts start fast. Defaults are HuBERT BASE."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class HubertPretrainingConfig:
    """The network and its task (HuBERT, Hsu et al. 2021, sections II and III)."""

    width: int = option(768, "width of the transformer")
    num_layers: int = option(12, "transformer layers")
    num_heads: int = option(12, "attention heads")
    feed_forward_width: int = option(3072, "inner width of the feed-forward layers")
    conv_widths: tuple[int, ...] = option((512,) * 7, "channels of the convolutions over samples")
    conv_kernels: tuple[int, ...] = option((10, 3, 3, 3, 3, 2, 2), "their kernel sizes")
    conv_strides: tuple[int, ...] = option(
        (5, 2, 2, 2, 2, 2, 2), "their strides; the product is the hop in samples"
    )
    conv_norm: str = option(
        "group", "after convolutions: group (over time, first only: BASE) or layer (each frame alone)"
    )
    filterbank_start: bool = option(
        False, "start the first convolution as a mel-spaced bank of sinusoids, not at random"
    )
    position_kernel: int = option(128, "frames that the convolutional position embedding sees")
    position_groups: int = option(16, "groups of that convolution")
    pre_norm: bool = option(False, "normalise before each block (LARGE) instead of after it (BASE)")
    dropout: float = option(0.1, "dropout of the transformer and its input")
    layer_drop: float = option(0.05, "probability of leaving out a layer")
    normalize: bool = option(False, "bring every recording to zero mean and unit variance")
    label_width: int = option(256, "width of the label embeddings")
    temperature: float = option(0.1, "of the cosine similarities")
    mask_probability: float = option(0.08, "share of frames at which a masked span starts")
    mask_span: int = option(10, "frames of a masked span")
    unmasked_weight: float = option(
        0.0, "weight of the loss on frames that are not masked (1 - alpha, eq. 2)"
    )

    def __post_init__(self):
        shapes = (len(self.conv_widths), len(self.conv_kernels), len(self.conv_strides))
        if len(set(shapes)) != 1 or not self.conv_widths:
            raise InputError(
                f"model: conv_widths, conv_kernels and conv_strides list {shapes[0]}, {shapes[1]} and "
                f"{shapes[2]} convolutions; expected the same number"
            )
        if self.conv_norm not in ("group", "layer"):
            raise InputError(f"model.conv_norm is {self.conv_norm!r}, expected one of group, layer")
        sizes = ("width", "num_layers", "num_heads", "feed_forward_width", "label_width")
        for name in (*sizes, "position_kernel", "position_groups"):
            if getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected at least 1")
        for name in ("conv_widths", "conv_kernels", "conv_strides"):
            if min(getattr(self, name)) < 1:
                raise InputError(f"model.{name} are {getattr(self, name)}, expected numbers of at least 1")
        for name in ("dropout", "layer_drop"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"model.{name} is {getattr(self, name)}, expected a number in [0, 1)")
        if self.temperature <= 0 or self.unmasked_weight < 0:
            raise InputError(
                f"model.temperature is {self.temperature} (expected more than 0) and model.unmasked_weight "
                f"{self.unmasked_weight} (expected at least 0)"
            )
        if self.width % self.position_groups:
            raise InputError(
                f"model.width {self.width} is not a multiple of model.position_groups {self.position_groups}"
            )
        if self.width % self.num_heads:
            raise InputError(
                f"model.width {self.width} is not a multiple of model.num_heads {self.num_heads}"
            )
        if not 0 < self.mask_probability < 1 or self.mask_span < 1:
            raise InputError(
                f"model.mask_probability is {self.mask_probability} and model.mask_span {self.mask_span}; "
                "expected a probability between 0 and 1 and a span of at least 1"
            )
