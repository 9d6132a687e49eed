"""Settings of a training run. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import INEXACT, MAY_CHANGE, option


@dataclass(frozen=True)
class TrainerConfig:
    """How long, how fast and how often; the same for every model."""

    max_steps: int = option(1000, "optimizer steps", on_resume=MAY_CHANGE)
    batch_size: int | None = option(
        None, "utterances in a global batch (all processes, one accumulation step)", on_resume=INEXACT
    )
    batch_seconds: float | None = option(None, "or: padded seconds in a global batch", on_resume=INEXACT)
    learning_rate: float = option(5e-4, "peak learning rate", on_resume=MAY_CHANGE)
    betas: tuple[float, ...] = option((0.9, 0.98), "AdamW betas")
    weight_decay: float = option(0.01, "AdamW weight decay, on matrices only")
    decoupled_decay: bool = option(True, "AdamW; false: Adam, with weight_decay as L2 in the gradient")
    epsilon: float = option(1e-8, "AdamW epsilon")
    warmup_steps: int = option(100, "steps of linear warm-up")
    schedule: str = option(
        "cosine",
        "after the warm-up: constant, linear (to 0), cosine (to 0), inverse_sqrt, exponential (held, then to "
        "final_learning_rate)",
    )
    hold_steps: int = option(0, "of schedule exponential: the step up to which the rate stays at its peak")
    final_learning_rate: float = option(1e-5, "of schedule exponential: the rate at max_steps")
    clip_norm: float = option(1.0, "largest norm of the gradient; 0 leaves it alone")
    max_skipped_steps: int = option(
        10,
        "steps in a row whose gradient is not finite, each of which is skipped, that stop the run",
        on_resume=MAY_CHANGE,
    )
    ema_decay: float = option(0.999, "decay of the moving average of weights that decoding uses; 0 for none")
    precision: str = option("no", "no (fp32), bf16 or fp16 autocast")
    gradient_accumulation: int = option(1, "batches per optimizer step")
    log_every: int = option(50, "steps between lines of metrics.jsonl", on_resume=MAY_CHANGE)
    valid_every: int = option(500, "steps between validations", on_resume=MAY_CHANGE)
    save_every: int = option(500, "steps between checkpoints", on_resume=MAY_CHANGE)
    keep_checkpoints: int = option(2, "checkpoints to keep", on_resume=MAY_CHANGE)
    num_workers: int = option(0, "processes that load data", on_resume=MAY_CHANGE)
    compile: bool = option(False, "torch.compile the network's blocks")
    activation_checkpointing: bool = option(
        False, "compute the blocks' activations again for the gradient: less memory"
    )
    sharding: str = option("none", "none, or full: share weights and optimizer among the processes (FSDP)")
    normal_losses: str | None = option(
        None,
        "file that record_trainings wrote: warn where the loss is far from what it has (absent: do not)",
        on_resume=MAY_CHANGE,
    )
    seed: int = option(0, "seed of weights, data order, crops, masks and dropout")

    def __post_init__(self):
        if (self.batch_size is None) == (self.batch_seconds is None):
            raise InputError(
                f"training.batch_size is {self.batch_size} and training.batch_seconds {self.batch_seconds}; "
                "give one of them"
            )
        for name, choices in {
            "schedule": ("constant", "linear", "cosine", "inverse_sqrt", "exponential"),
            "precision": ("no", "bf16", "fp16"),
            "sharding": ("none", "full"),
        }.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"training.{name} is {getattr(self, name)!r}, expected one of {', '.join(choices)}"
                )
        counts = (
            "max_steps",
            "log_every",
            "valid_every",
            "save_every",
            "gradient_accumulation",
            "keep_checkpoints",
        )
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"training.{name} is {getattr(self, name)}, expected at least 1")
        for name in ("weight_decay", "warmup_steps", "hold_steps", "clip_norm", "num_workers", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"training.{name} is {getattr(self, name)}, expected at least 0")
        for name in ("learning_rate", "final_learning_rate", "epsilon", "batch_size", "batch_seconds"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise InputError(f"training.{name} is {getattr(self, name)}, expected more than 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"training.betas are {self.betas}, expected two numbers in [0, 1)")
        if self.sharding == "full" and self.precision == "fp16":
            raise InputError("training.sharding full works with training.precision no or bf16, not with fp16")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"training.ema_decay is {self.ema_decay}, expected a number in [0, 1)")
