"""Sampling options. Free of torch, so that commands start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import option

MOST_SAMPLES = 1000  # of an utterance
SLOWEST = 0.25  # speed of speech, and its inverse the fastest
MOST_ITERATIONS = 10_000  # of a level: more than utterances have frames; their random numbers fit into memory


@dataclass(frozen=True)
class ParallelConfig:
    """Confidence-based parallel decoding (SoundStorm, section 3.3; what it leaves open is MaskGIT's)."""

    iterations: tuple[int, ...] = option(
        (16, 1), "iterations of each RVQ level (of a grouped codec: of each stage); the last number stands for all "
                 "finer ones"
    )  # fmt: skip
    temperature: float = option(1.0, "of the tokens sampled; MaskGIT has 1")
    top_k: int = option(0, "candidates sampled from; 0 for all")
    choice_temperature: float = option(
        4.5, "Gumbel noise on the confidence, falling to 0 over a level; MaskGIT has 4.5"
    )
    prior: float = option(
        0.0, "share of a token's mean log-probability over the utterance that its confidence loses, so that "
             "tokens which are likely everywhere, such as silence, do not come first; 0 (the paper) to 1"
    )  # fmt: skip
    entropy_bound: float = option(
        0.0, "nats: also commit the next most confident tokens while their entropies, the largest left out, "
             "sum up to no more; levels then end early. 0 (the paper): the schedule"
    )  # fmt: skip
    guidance: float = option(
        0.0, "how far logits go beyond those without the prompt, at twice the passes (classifier-free, "
             "MaskGCT; needs masking.unprompted in training); 0 (the paper): not at all"
    )  # fmt: skip
    seed: int = option(0, "of the sampling; each utterance has its own stream")
    precision: str = option(
        "no", "no (fp32), bf16 or fp16 autocast of the network; bf16 suits CPUs and GPUs that have it"
    )
    best_of: int = option(
        1, "samples of each utterance's acoustic tokens, of which synthesize keeps the one with the best "
           "DNSMOS (SPEAR-TTS: 3); slow: ranking takes a CPU core half a second a sample"
    )  # fmt: skip

    def __post_init__(self):
        if not 1 <= self.best_of <= MOST_SAMPLES:
            raise InputError(f"decode.best_of is {self.best_of}, expected 1 to {MOST_SAMPLES}")
        if not self.iterations or min(self.iterations) < 1 or max(self.iterations) > MOST_ITERATIONS:
            raise InputError(
                f"decode.iterations are {self.iterations}, expected at least one number, none below 1 or above "
                f"{MOST_ITERATIONS}"
            )
        numbers = ("temperature", "choice_temperature", "top_k", "prior", "entropy_bound", "guidance", "seed")
        for name in numbers:
            if getattr(self, name) < 0:
                raise InputError(f"decode.{name} is {getattr(self, name)}, expected 0 or more")
        if self.precision not in ("no", "bf16", "fp16"):
            raise InputError(f"decode.precision is {self.precision!r}, expected no, bf16 or fp16")

    def iterations_of(self, num_levels: int) -> list[int]:
        """Iterations of each of ``num_levels`` levels: (16, 1) is 16, 1, 1, ..., 1."""
        if len(self.iterations) > num_levels:
            raise InputError(
                f"decode.iterations {self.iterations} are given for {len(self.iterations)} levels, "
                f"the codec has {num_levels}"
            )
        return list(self.iterations) + [self.iterations[-1]] * (num_levels - len(self.iterations))


@dataclass(frozen=True)
class TextSamplingConfig:
    """Sampling of semantic tokens from text; the paper's values (section 4.5)."""

    temperature: float = option(0.9, "of the semantic tokens; 0 is greedy")
    top_k: int = option(125, "candidates sampled from; 0 for all")
    max_seconds: float = option(30.0, "longest result, prompt not counted")
    batch_size: int = option(32, "texts at a time")
    attempts: int = option(3, "a sample that does not end by itself is sampled again, up to so many times in all")

    def __post_init__(self):
        if self.temperature < 0 or self.top_k < 0 or self.max_seconds <= 0 or min(self.batch_size, self.attempts) < 1:
            raise InputError(
                f"text.temperature is {self.temperature} and text.top_k {self.top_k} (expected 0 or more), "
                f"text.max_seconds {self.max_seconds} (more than 0), text.batch_size {self.batch_size} and "
                f"text.attempts {self.attempts} (at least 1)"
            )


@dataclass(frozen=True)
class MaskedTextSamplingConfig:
    """Parallel decoding of semantic tokens from text."""

    iterations: int = option(16, "passes over all frames")
    temperature: float = option(0.9, "of the semantic tokens; 0 is greedy")
    top_k: int = option(125, "candidates sampled from; 0 for all")
    choice_temperature: float = option(4.5, "Gumbel noise on the confidence, falling to 0; MaskGIT has 4.5")
    duration_temperature: float = option(0.0, "of the frames of each letter; 0 takes their mean, 1 samples them")
    speed: float = option(1.0, "how much faster than the model would speak, e.g. 1.2; below 1 slower")
    precision: str = option("no", "no (fp32), bf16 or fp16 autocast of the network")
    max_seconds: float = option(30.0, "longest result, prompt not counted")
    batch_size: int = option(32, "texts at a time")

    def __post_init__(self):
        if self.duration_temperature < 0:
            raise InputError(
                f"masked_text.duration_temperature is {self.duration_temperature}, expected 0 or more"
            )
        if not SLOWEST <= self.speed <= 1 / SLOWEST:
            raise InputError(f"masked_text.speed is {self.speed}, expected {SLOWEST:g} to {1 / SLOWEST:g}")
        if self.max_seconds <= 0 or self.batch_size < 1:
            raise InputError(
                f"masked_text.max_seconds is {self.max_seconds} (expected more than 0) and "
                f"masked_text.batch_size {self.batch_size} (at least 1)"
            )
        _ = self.parallel  # has checks of its own

    @property
    def parallel(self) -> ParallelConfig:
        """How the one level of semantic tokens is decoded."""
        names = ("temperature", "top_k", "choice_temperature", "precision")
        return ParallelConfig((self.iterations,), **{name: getattr(self, name) for name in names})
