"""Settings of the datasets: what a training example is. Free of torch, so that fronts start fast."""

from dataclasses import dataclass, fields

from soundstorm.data.audiolm_stages import ACOUSTIC, COARSE, FINE
from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option


@dataclass(frozen=True)
class WindowConfig(Config, section="data"):
    """Windows of training tokens (SoundStorm, model training: random windows of 0 to 30 s)."""

    min_seconds: float = option(1.0, "shortest random window", more_than=0)
    max_seconds: float = option(30.0, "longest random window")
    step_seconds: float = option(
        0.0, "lengths of random windows are multiples of it, 0: any; those of a batch are then equal, so that "
             "attention needs no mask and GPUs take their fastest kernel", at_least=0
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if not self.step_seconds <= self.max_seconds:
            raise InputError(
                f"data.step_seconds is {self.step_seconds}, expected 0 to max_seconds, {self.max_seconds}"
            )
        if not self.min_seconds <= self.max_seconds:
            raise InputError(
                f"data: expected 0 < min_seconds <= max_seconds, got {self.min_seconds} and "
                f"{self.max_seconds}"
            )


@dataclass(frozen=True)
class MaskingConfig(Config, section="masking"):
    """Where masks differ from the paper's; the defaults are the paper's."""

    scheme: str = option(
        "", "'paper': the masks of SoundStorm's section 3.2, whatever the other settings of masking are",
        one_of=("", "paper"),
    )
    unprompted: float = option(
        0.0, "probability of an example without a prompt; the paper has only the chance 1/T", within=(0, 1)
    )
    grid: float = option(
        0.0, "probability of an example whose masks lie over all levels at once and are all predicted; "
             "0 (the paper): one level at a time. Learns more from each step", within=(0, 1)
    )  # fmt: skip
    grid_weights: str = option(
        "uniform", "weights of the levels in the loss of such an example: uniform, or linear, Q for the "
                   "coarsest of Q levels down to 1", one_of=("uniform", "linear")
    )  # fmt: skip
    levels: str = option(
        "uniform", "how the level of another example is chosen: uniform (the paper), or linear, the coarsest "
                   "of Q levels Q times as often as the finest (MaskGCT)", one_of=("uniform", "linear")
    )  # fmt: skip
    noise: float = option(
        0.0, "share of the visible tokens at levels coarser than what is predicted, prompts left out, that "
             "others replace, as decoding's are not all right; 0 (the paper), ChainOfDetails has 0.1",
        within=(0, 1),
    )  # fmt: skip

    def __post_init__(self):
        if self.scheme == "paper":  # no more than a name for these values, which the experiment records
            for field in fields(self):
                object.__setattr__(self, field.name, field.default)
        super().__post_init__()


def level_weights(kind: str, num_levels: int) -> tuple[float, ...]:
    """Weights of the levels, 1 in the mean: all alike (``uniform``), or Q - q of level q (``linear``)."""
    if kind == "uniform":
        return (1.0,) * num_levels
    return tuple(2 * (num_levels - level) / (num_levels + 1) for level in range(num_levels))


@dataclass(frozen=True)
class AudioLMDataConfig(Config, section="data"):
    """What a training example of each stage is (AudioLM, section IV-B)."""

    coarse_levels: int = option(
        0, "RVQ levels of the coarse stage (and of the acoustic one), the others being the fine stage's; 0: a third "
           "of them, as the paper's 4 of 12. All of them: there is no fine stage, as in its piano experiment",
        at_least=0,
    )  # fmt: skip
    semantic_seconds: float = option(30.0, "longest crop of the semantic stage", more_than=0)
    coarse_seconds: float = option(10.0, "longest crop of the coarse stage", more_than=0)
    fine_seconds: float = option(3.0, "longest crop of the fine stage", more_than=0)
    min_seconds: float | None = option(
        None, "shortest crop; lengths are then drawn in between. None: always the longest"
    )
    deduplicate: bool = option(
        False, "remove repeats of semantic tokens for the coarse stage too, as in AudioLM's own chain; its "
               "comparison with SoundStorm keeps them"
    )  # fmt: skip
    semantic_repeats: bool = option(
        False, "keep repeats of semantic tokens in the semantic stage, a token a frame: what continuations by "
               "SoundStorm follow, and where rhythm matters"
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.deduplicate and self.semantic_repeats:
            raise InputError(
                "data.deduplicate and data.semantic_repeats are both true: the coarse stage would not see the repeats "
                "that the semantic stage writes; set one of them to false"
            )

    def seconds(self, stage: str) -> float:
        """Longest crop of a stage."""
        return getattr(self, f"{COARSE if stage == ACOUSTIC else stage}_seconds")

    def window(self, stage: str) -> WindowConfig:
        """How a stage cuts its crops."""
        longest = self.seconds(stage)
        shortest = longest if self.min_seconds is None else min(self.min_seconds, longest)
        return WindowConfig(min_seconds=shortest, max_seconds=longest)

    def coarse_levels_of(self, num_levels: int, stage: str = COARSE) -> int:
        """Q' of a codec with Q levels.

        Raises:
            ValueError: more than there are; or all of them, so that the fine stage has nothing to do.
        """
        coarse = self.coarse_levels or max(1, num_levels // 3)
        if coarse > num_levels:
            raise InputError(
                f"data.coarse_levels is {coarse}, expected no more than the codec's {num_levels} levels"
            )
        if stage == FINE and coarse == num_levels:
            raise InputError(
                f"data.coarse_levels is {coarse} of the codec's {num_levels} levels, which leaves none to the fine "
                "stage; lower it, or train no fine stage (in a recipe --audiolm-stages)"
            )
        return coarse



@dataclass(frozen=True)
class CodecDataConfig(Config, section="data"):
    """What training sees of the corpus."""

    crop_seconds: float = option(
        1.0, "length of the random part of each utterance in a training batch, in seconds", more_than=0
    )


@dataclass(frozen=True)
class HubertDataConfig(Config, section="data"):
    """What an example is."""

    crop_seconds: float = option(
        15.6, "longest example; longer recordings are cut at random, in whole frames", more_than=0
    )


@dataclass(frozen=True)
class TextDataConfig(Config, section="data"):
    """What a training example is."""

    min_seconds: float = option(0.2, "shorter utterances are left out", at_least=0)
    max_seconds: float = option(30.0, "longer utterances are left out (paper: 30 s chunks)")
    join_probability: float = option(
        0.0, "share of examples with a second utterance of the same speaker appended", within=(0, 1)
    )
    token_dropout: float = option(
        0.0, "largest share of previous tokens hidden from the decoder; each example draws its own",
        within=(0, 1),
    )
    token_noise: float = option(
        0.0, "largest share of previous tokens replaced by other tokens of the utterance", within=(0, 1)
    )
    noise_span: float = option(1.0, "mean length of hidden or replaced stretches, in frames", at_least=1)

    def __post_init__(self):
        super().__post_init__()
        _check_seconds(self.min_seconds, self.max_seconds)


@dataclass(frozen=True)
class MaskedTextDataConfig(Config, section="data"):
    """What a training example of the parallel text-to-semantic model is."""

    min_seconds: float = option(0.2, "shorter utterances are left out", at_least=0)
    max_seconds: float = option(30.0, "longer utterances are left out (paper: 30 s chunks)")
    join_probability: float = option(
        0.0, "share of examples with a second utterance of the same speaker appended", within=(0, 1)
    )
    unprompted: float = option(0.3, "probability of an example without a prompt", within=(0, 1))
    whole: float = option(
        0.0, "probability of an example of which all is hidden but the prompt, as the first pass of decoding meets it; "
             "else as much as SoundStorm's masks hide", within=(0, 1)
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        _check_seconds(self.min_seconds, self.max_seconds)


@dataclass(frozen=True)
class DenoisingDataConfig(Config, section="data"):
    """What a pre-training example is: semantic tokens with gaps in, all of them out (SPEAR-TTS)."""

    deletion: float = option(
        0.6, "probability of each token of the input to be deleted (SPEAR-TTS: 0.6)", at_least=0, less_than=1
    )
    deduplicate: bool = option(
        True, "first remove repeats from the input, as a text has none and SPEAR-TTS's tokens have none; "
              "otherwise most of what is deleted still stands beside"
    )  # fmt: skip
    min_seconds: float = option(0.2, "shorter utterances are left out", at_least=0)
    max_seconds: float = option(30.0, "longer utterances are left out")
    token_dropout: float = option(
        0.0, "as in the training that follows: previous tokens hidden from the decoder", within=(0, 1)
    )
    token_noise: float = option(0.0, "previous tokens replaced", within=(0, 1))
    noise_span: float = option(1.0, "mean length of such stretches, in frames", at_least=1)

    def __post_init__(self):
        super().__post_init__()
        _check_seconds(self.min_seconds, self.max_seconds)


@dataclass(frozen=True)
class TranscriptionDataConfig(Config, section="data"):
    """What a training example of that model is."""

    min_seconds: float = option(0.2, "shorter utterances are left out", at_least=0)
    max_seconds: float = option(30.0, "longer utterances are left out")

    def __post_init__(self):
        super().__post_init__()
        _check_seconds(self.min_seconds, self.max_seconds)


@dataclass(frozen=True)
class CropConfig(Config, section="crops"):
    """The two pieces of one recording that the network learns to recognise as one."""

    min_seconds: float = option(2.0, "shortest crop", more_than=0)
    max_seconds: float = option(5.0, "longest crop; half of a recording where that is less")

    def __post_init__(self):
        super().__post_init__()
        if not self.min_seconds <= self.max_seconds:
            raise InputError(
                f"crops.min_seconds is {self.min_seconds} and crops.max_seconds {self.max_seconds}, "
                f"expected 0 < min_seconds <= max_seconds"
            )


@dataclass(frozen=True)
class AugmentConfig(Config, section="augment"):
    """Changes of the spectra of original recordings in training. Nothing generated is ever used."""

    tempo: float = option(0.12, "duration is multiplied by a number from 1 +- this", at_least=0, less_than=0.5)
    warp: float = option(
        0.1, "the mel axis is stretched by a number from 1 +- this: another vocal tract", at_least=0, less_than=0.5
    )
    blur: int = option(
        1, "log spectra are averaged over up to this many neighbours on each side, in time and in frequency", at_least=0
    )
    jitter: float = option(0.2, "standard deviation of noise on log spectra, from 0 to this", at_least=0, less_than=10)
    floor_probability: float = option(
        0.5, "share of utterances to which a background noise of random level is added", within=(0, 1)
    )
    time_masks: int = option(3, "spans of up to 200 ms that are hidden", at_least=0)
    mel_masks: int = option(2, "groups of up to a fifth of the bands that are hidden", at_least=0)


def _check_seconds(least: float, most: float) -> None:
    if not least < most:
        raise InputError(f"data.min_seconds ({least}) must be below data.max_seconds ({most})")
