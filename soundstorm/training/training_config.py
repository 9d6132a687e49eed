"""Settings of a training run. Free of torch, so that fronts start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import INEXACT, MAY_CHANGE, Config, option


@dataclass(frozen=True)
class TrainerConfig(Config, section="training"):
    """How long, how fast and how often; the same for every model."""

    max_steps: int = option(1000, "optimizer steps", at_least=1, on_resume=MAY_CHANGE)
    batch_size: int | None = option(
        None, "utterances in a global batch (all processes, one accumulation step)", more_than=0, on_resume=INEXACT
    )
    batch_seconds: float | None = option(None, "or: padded seconds in a global batch", more_than=0, on_resume=INEXACT)
    learning_rate: float = option(5e-4, "peak learning rate", more_than=0, on_resume=MAY_CHANGE)
    betas: tuple[float, ...] = option((0.9, 0.98), "AdamW betas", at_least=0, less_than=1)
    weight_decay: float = option(0.01, "AdamW weight decay, on matrices only", at_least=0)
    decoupled_decay: bool = option(True, "AdamW; false: Adam, with weight_decay as L2 in the gradient")
    epsilon: float = option(1e-8, "AdamW epsilon", more_than=0)
    warmup_steps: int = option(100, "steps of linear warm-up", at_least=0)
    schedule: str = option(
        "cosine",
        "after the warm-up: constant, linear (to 0), cosine (to 0), inverse_sqrt, exponential (held, then to "
        "final_learning_rate)",
        one_of=("constant", "linear", "cosine", "inverse_sqrt", "exponential"),
    )
    hold_steps: int = option(0, "of schedule exponential: the step up to which the rate stays at its peak", at_least=0)
    final_learning_rate: float = option(1e-5, "of schedule exponential: the rate at max_steps", more_than=0)
    clip_norm: float = option(1.0, "largest norm of the gradient; 0 leaves it alone", at_least=0)
    max_skipped_steps: int = option(
        10,
        "steps in a row whose gradient is not finite, each of which is skipped, that stop the run",
        on_resume=MAY_CHANGE,
    )
    ema_decay: float = option(
        0.999, "decay of the moving average of weights that decoding uses; 0 for none", at_least=0, less_than=1
    )
    precision: str = option("no", "no (fp32), bf16 or fp16 autocast", one_of=("no", "bf16", "fp16"))
    gradient_accumulation: int = option(1, "batches per optimizer step", at_least=1)
    log_every: int = option(50, "steps between lines of metrics.jsonl", at_least=1, on_resume=MAY_CHANGE)
    valid_every: int = option(500, "steps between validations", at_least=1, on_resume=MAY_CHANGE)
    save_every: int = option(500, "steps between checkpoints", at_least=1, on_resume=MAY_CHANGE)
    keep_checkpoints: int = option(2, "checkpoints to keep", at_least=1, on_resume=MAY_CHANGE)
    num_workers: int = option(0, "processes that load data", at_least=0, on_resume=MAY_CHANGE)
    compile: bool = option(False, "torch.compile the network's blocks")
    activation_checkpointing: bool = option(
        False, "compute the blocks' activations again for the gradient: less memory"
    )
    sharding: str = option(
        "none", "none, or full: share weights and optimizer among the processes (FSDP)", one_of=("none", "full")
    )
    normal_losses: str | None = option(
        None,
        "file that record_trainings wrote: warn where the loss is far from what it has (absent: do not)",
        on_resume=MAY_CHANGE,
    )
    seed: int = option(0, "seed of weights, data order, crops, masks and dropout", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        if (self.batch_size is None) == (self.batch_seconds is None):
            raise InputError(
                f"training.batch_size is {self.batch_size} and training.batch_seconds {self.batch_seconds}; "
                "give one of them"
            )
        if len(self.betas) != 2:
            raise InputError(f"training.betas are {self.betas}, expected two numbers")
        if self.sharding == "full" and self.precision == "fp16":
            raise InputError("training.sharding full works with training.precision no or bf16, not with fp16")
