"""Settings of HuBERT pre-training. Free of torch, so that fronts start fast. Defaults are HuBERT BASE."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class HubertPretrainingConfig(Config, section="model"):
    """The network and its task (HuBERT, Hsu et al. 2021, sections II and III)."""

    width: int = option(768, "width of the transformer", at_least=1)
    num_layers: int = option(12, "transformer layers", at_least=1)
    num_heads: int = option(12, "attention heads", at_least=1)
    feed_forward_width: int = option(3072, "inner width of the feed-forward layers", at_least=1)
    conv_widths: tuple[int, ...] = option((512,) * 7, "channels of the convolutions over samples", at_least=1)
    conv_kernels: tuple[int, ...] = option((10, 3, 3, 3, 3, 2, 2), "their kernel sizes", at_least=1)
    conv_strides: tuple[int, ...] = option(
        (5, 2, 2, 2, 2, 2, 2), "their strides; the product is the hop in samples", at_least=1
    )
    conv_norm: str = option(
        "group", "after convolutions: group (over time, first only: BASE) or layer (each frame alone)",
        one_of=("group", "layer"),
    )
    filterbank_start: bool = option(
        False, "start the first convolution as a mel-spaced bank of sinusoids, not at random"
    )
    position_kernel: int = option(128, "frames that the convolutional position embedding sees", at_least=1)
    position_groups: int = option(16, "groups of that convolution", at_least=1)
    pre_norm: bool = option(False, "normalise before each block (LARGE) instead of after it (BASE)")
    dropout: float = option(0.1, "dropout of the transformer and its input", at_least=0, less_than=1)
    layer_drop: float = option(0.05, "probability of leaving out a layer", at_least=0, less_than=1)
    normalize: bool = option(False, "bring every recording to zero mean and unit variance")
    label_width: int = option(256, "width of the label embeddings", at_least=1)
    temperature: float = option(0.1, "of the cosine similarities", more_than=0)
    mask_probability: float = option(0.08, "share of frames at which a masked span starts", more_than=0, less_than=1)
    mask_span: int = option(10, "frames of a masked span", at_least=1)
    unmasked_weight: float = option(
        0.0, "weight of the loss on frames that are not masked (1 - alpha, eq. 2)", at_least=0
    )

    def __post_init__(self):
        super().__post_init__()
        shapes = (len(self.conv_widths), len(self.conv_kernels), len(self.conv_strides))
        if len(set(shapes)) != 1:
            raise InputError(
                f"model: conv_widths, conv_kernels and conv_strides list {shapes[0]}, {shapes[1]} and "
                f"{shapes[2]} convolutions; expected the same number"
            )
        if self.width % self.position_groups:
            raise InputError(
                f"model.width {self.width} is not a multiple of model.position_groups {self.position_groups}"
            )
        if self.width % self.num_heads:
            raise InputError(
                f"model.width {self.width} is not a multiple of model.num_heads {self.num_heads}"
            )
