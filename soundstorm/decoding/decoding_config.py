"""Sampling options. Free of torch, so that commands start fast."""

from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option

MOST_SAMPLES = 1000  # of an utterance
SLOWEST = 0.25  # speed of speech, and its inverse the fastest
MOST_ITERATIONS = 10_000  # of a level: more than utterances have frames; their random numbers fit into memory


@dataclass(frozen=True)
class ParallelConfig(Config, section="decode"):
    """Confidence-based parallel decoding (SoundStorm, section 3.3; what it leaves open is MaskGIT's)."""

    iterations: tuple[int, ...] = option(
        (16, 1), "iterations of each RVQ level (of a grouped codec: of each stage); the last number stands for all "
                 "finer ones", within=(1, MOST_ITERATIONS)
    )  # fmt: skip
    temperature: float = option(1.0, "of the tokens sampled; MaskGIT has 1", at_least=0)
    top_k: int = option(0, "candidates sampled from; 0 for all", at_least=0)
    choice_temperature: float = option(
        4.5, "Gumbel noise on the confidence, falling to 0 over a level; MaskGIT has 4.5", at_least=0
    )
    prior: float = option(
        0.0, "share of a token's mean log-probability over the utterance that its confidence loses, so that "
             "tokens which are likely everywhere, such as silence, do not come first; the paper: 0", within=(0, 1)
    )  # fmt: skip
    entropy_bound: float = option(
        0.0, "nats: also commit the next most confident tokens while their entropies, the largest left out, "
             "sum up to no more; levels then end early. 0 (the paper): the schedule", at_least=0
    )  # fmt: skip
    guidance: float = option(
        0.0, "how far logits go beyond those without the prompt, at twice the passes (classifier-free, "
             "MaskGCT; needs masking.unprompted in training); 0 (the paper): not at all", at_least=0
    )  # fmt: skip
    seed: int = option(0, "of the sampling; each utterance has its own stream", at_least=0)
    precision: str = option(
        "no", "no (fp32), bf16 or fp16 autocast of the network; bf16 suits CPUs and GPUs that have it",
        one_of=("no", "bf16", "fp16"),
    )
    best_of: int = option(
        1, "samples of each utterance's acoustic tokens, of which synthesize keeps the one with the best "
           "DNSMOS (SPEAR-TTS: 3); slow: ranking takes a CPU core half a second a sample",
        within=(1, MOST_SAMPLES),
    )  # fmt: skip

    def iterations_of(self, num_levels: int) -> list[int]:
        """Iterations of each of ``num_levels`` levels: (16, 1) is 16, 1, 1, ..., 1."""
        if len(self.iterations) > num_levels:
            raise InputError(
                f"decode.iterations {self.iterations} are given for {len(self.iterations)} levels, "
                f"the codec has {num_levels}"
            )
        return list(self.iterations) + [self.iterations[-1]] * (num_levels - len(self.iterations))


@dataclass(frozen=True)
class TextSamplingConfig(Config, section="text"):
    """Sampling of semantic tokens from text; the paper's values (dialogue synthesis)."""

    temperature: float = option(0.9, "of the semantic tokens; 0 is greedy", at_least=0)
    top_k: int = option(125, "candidates sampled from; 0 for all", at_least=0)
    max_seconds: float = option(30.0, "longest result, prompt not counted", more_than=0)
    batch_size: int = option(32, "texts at a time", at_least=1)
    attempts: int = option(
        3, "a sample that does not end by itself is sampled again, up to so many times in all", at_least=1
    )


@dataclass(frozen=True)
class MaskedTextSamplingConfig(Config, section="masked_text"):
    """Parallel decoding of semantic tokens from text."""

    iterations: int = option(16, "passes over all frames", within=(1, MOST_ITERATIONS))
    temperature: float = option(0.9, "of the semantic tokens; 0 is greedy", at_least=0)
    top_k: int = option(125, "candidates sampled from; 0 for all", at_least=0)
    choice_temperature: float = option(4.5, "Gumbel noise on the confidence, falling to 0; MaskGIT has 4.5", at_least=0)
    duration_temperature: float = option(
        0.0, "of the frames of each letter; 0 takes their mean, 1 samples them", at_least=0
    )
    speed: float = option(
        1.0, "how much faster than the model would speak, e.g. 1.2; below 1 slower",
        within=(SLOWEST, 1 / SLOWEST),
    )
    precision: str = option("no", "no (fp32), bf16 or fp16 autocast of the network", one_of=("no", "bf16", "fp16"))
    max_seconds: float = option(30.0, "longest result, prompt not counted", more_than=0)
    batch_size: int = option(32, "texts at a time", at_least=1)

    @property
    def parallel(self) -> ParallelConfig:
        """How the one level of semantic tokens is decoded."""
        names = ("temperature", "top_k", "choice_temperature", "precision")
        return ParallelConfig((self.iterations,), **{name: getattr(self, name) for name in names})
