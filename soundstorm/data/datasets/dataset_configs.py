"""Settings of the datasets: what a training example is. Free of torch, so that fronts start fast."""

from dataclasses import dataclass, fields

from soundstorm.data.audiolm_stages import ACOUSTIC, COARSE, FINE, STAGES
from soundstorm.data.errors import InputError
from soundstorm.data.options import option


@dataclass(frozen=True)
class WindowConfig:
    """Windows of training tokens (SoundStorm, section 4.1: random windows of 0 to 30 s)."""

    min_seconds: float = option(1.0, "shortest random window")
    max_seconds: float = option(30.0, "longest random window")
    step_seconds: float = option(
        0.0, "lengths of random windows are multiples of it, 0: any; those of a batch are then equal, so that "
             "attention needs no mask and GPUs take their fastest kernel"
    )  # fmt: skip

    def __post_init__(self):
        if not 0 <= self.step_seconds <= self.max_seconds:
            raise InputError(
                f"data.step_seconds is {self.step_seconds}, expected 0 to max_seconds, {self.max_seconds}"
            )
        if not 0 < self.min_seconds <= self.max_seconds:
            raise InputError(
                f"data: expected 0 < min_seconds <= max_seconds, got {self.min_seconds} and "
                f"{self.max_seconds}"
            )


@dataclass(frozen=True)
class MaskingConfig:
    """Where masks differ from the paper's; the defaults are the paper's."""

    scheme: str = option(
        "", "'paper': the masks of SoundStorm's section 3.2, whatever the other settings of masking are"
    )
    unprompted: float = option(
        0.0, "probability of an example without a prompt; the paper has only the chance 1/T"
    )
    grid: float = option(
        0.0, "probability of an example whose masks lie over all levels at once and are all predicted; "
             "0 (the paper): one level at a time. Learns more from each step"
    )  # fmt: skip
    grid_weights: str = option(
        "uniform", "weights of the levels in the loss of such an example: uniform, or linear, Q for the "
                   "coarsest of Q levels down to 1"
    )  # fmt: skip
    levels: str = option(
        "uniform", "how the level of another example is chosen: uniform (the paper), or linear, the coarsest "
                   "of Q levels Q times as often as the finest (MaskGCT)"
    )  # fmt: skip
    noise: float = option(
        0.0, "share of the visible tokens at levels coarser than what is predicted, prompts left out, that "
             "others replace, as decoding's are not all right; 0 (the paper), ChainOfDetails has 0.1"
    )  # fmt: skip

    def __post_init__(self):
        if self.scheme not in ("", "paper"):
            raise InputError(f"masking.scheme is {self.scheme!r}, expected 'paper' or nothing")
        if self.scheme:  # no more than a name for these values, which the experiment records
            for field in fields(self):
                object.__setattr__(self, field.name, field.default)
        for name in ("unprompted", "grid", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"masking.{name} is {getattr(self, name)}, expected a probability")
        for name in ("grid_weights", "levels"):
            if getattr(self, name) not in ("uniform", "linear"):
                raise InputError(f"masking.{name} is {getattr(self, name)!r}, expected uniform or linear")


def level_weights(kind: str, num_levels: int) -> tuple[float, ...]:
    """Weights of the levels, 1 in the mean: all alike (``uniform``), or Q - q of level q (``linear``)."""
    if kind == "uniform":
        return (1.0,) * num_levels
    return tuple(2 * (num_levels - level) / (num_levels + 1) for level in range(num_levels))


@dataclass(frozen=True)
class AudioLMDataConfig:
    """What a training example of each stage is (AudioLM, section IV-B)."""

    coarse_levels: int = option(
        0, "RVQ levels of the coarse stage (and of the acoustic one), the others being the fine stage's; 0: a third "
           "of them, as the paper's 4 of 12. All of them: there is no fine stage, as in its piano experiment"
    )  # fmt: skip
    semantic_seconds: float = option(30.0, "longest crop of the semantic stage")
    coarse_seconds: float = option(10.0, "longest crop of the coarse stage")
    fine_seconds: float = option(3.0, "longest crop of the fine stage")
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
        if self.coarse_levels < 0:
            raise InputError(f"data.coarse_levels is {self.coarse_levels}, expected 0 (a third) or more")
        if self.deduplicate and self.semantic_repeats:
            raise InputError(
                "data.deduplicate and data.semantic_repeats are both true: the coarse stage would not see the repeats "
                "that the semantic stage writes; set one of them to false"
            )
        for name in STAGES:
            if self.seconds(name) <= 0:
                raise InputError(f"data.{name}_seconds is {self.seconds(name)}, expected more than 0")

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
class CodecDataConfig:
    """What training sees of the corpus."""

    crop_seconds: float = option(
        1.0, "length of the random part of each utterance in a training batch, in seconds"
    )

    def __post_init__(self):
        if self.crop_seconds <= 0:
            raise InputError(f"data.crop_seconds is {self.crop_seconds}, expected more than 0")


@dataclass(frozen=True)
class HubertDataConfig:
    """What an example is."""

    crop_seconds: float = option(
        15.6, "longest example; longer recordings are cut at random, in whole frames"
    )

    def __post_init__(self):
        if self.crop_seconds <= 0:
            raise InputError(f"data.crop_seconds is {self.crop_seconds}, expected more than 0")


@dataclass(frozen=True)
class TextDataConfig:
    """What a training example is."""

    min_seconds: float = option(0.2, "shorter utterances are left out")
    max_seconds: float = option(30.0, "longer utterances are left out (paper: 30 s chunks)")
    join_probability: float = option(
        0.0, "share of examples with a second utterance of the same speaker appended"
    )
    token_dropout: float = option(
        0.0, "largest share of previous tokens hidden from the decoder; each example draws its own"
    )
    token_noise: float = option(
        0.0, "largest share of previous tokens replaced by other tokens of the utterance"
    )
    noise_span: float = option(1.0, "mean length of hidden or replaced stretches, in frames")

    def __post_init__(self):
        if not 0 <= self.join_probability <= 1:
            raise InputError(f"data.join_probability is {self.join_probability}, expected a number in [0, 1]")
        _check_examples(self)


@dataclass(frozen=True)
class MaskedTextDataConfig:
    """What a training example of the parallel text-to-semantic model is."""

    min_seconds: float = option(0.2, "shorter utterances are left out")
    max_seconds: float = option(30.0, "longer utterances are left out (paper: 30 s chunks)")
    join_probability: float = option(
        0.0, "share of examples with a second utterance of the same speaker appended"
    )
    unprompted: float = option(0.3, "probability of an example without a prompt")
    whole: float = option(
        0.0, "probability of an example of which all is hidden but the prompt, as the first pass of decoding meets it; "
             "else as much as SoundStorm's masks hide"
    )  # fmt: skip

    def __post_init__(self):
        for name in ("join_probability", "unprompted", "whole"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"data.{name} is {getattr(self, name)}, expected a probability")
        if not 0 <= self.min_seconds < self.max_seconds:
            raise InputError(
                f"data.min_seconds ({self.min_seconds}) must be below data.max_seconds ({self.max_seconds})"
            )


@dataclass(frozen=True)
class DenoisingDataConfig:
    """What a pre-training example is: semantic tokens with gaps in, all of them out (SPEAR-TTS)."""

    deletion: float = option(0.6, "probability of each token of the input to be deleted (SPEAR-TTS: 0.6)")
    deduplicate: bool = option(
        True, "first remove repeats from the input, as a text has none and SPEAR-TTS's tokens have none; "
              "otherwise most of what is deleted still stands beside"
    )  # fmt: skip
    min_seconds: float = option(0.2, "shorter utterances are left out")
    max_seconds: float = option(30.0, "longer utterances are left out")
    token_dropout: float = option(
        0.0, "as in the training that follows: previous tokens hidden from the decoder"
    )
    token_noise: float = option(0.0, "previous tokens replaced")
    noise_span: float = option(1.0, "mean length of such stretches, in frames")

    def __post_init__(self):
        if not 0 <= self.deletion < 1:
            raise InputError(f"data.deletion is {self.deletion}, expected a number in [0, 1)")
        _check_examples(self)


@dataclass(frozen=True)
class TranscriptionDataConfig:
    """What a training example of that model is."""

    min_seconds: float = option(0.2, "shorter utterances are left out")
    max_seconds: float = option(30.0, "longer utterances are left out")

    def __post_init__(self):
        if not 0 <= self.min_seconds < self.max_seconds:
            raise InputError(
                f"data.min_seconds ({self.min_seconds}) must be below data.max_seconds ({self.max_seconds})"
            )


@dataclass(frozen=True)
class CropConfig:
    """The two pieces of one recording that the network learns to recognise as one."""

    min_seconds: float = option(2.0, "shortest crop")
    max_seconds: float = option(5.0, "longest crop; half of a recording where that is less")

    def __post_init__(self):
        if not 0 < self.min_seconds <= self.max_seconds:
            raise InputError(
                f"crops.min_seconds is {self.min_seconds} and crops.max_seconds {self.max_seconds}, "
                f"expected 0 < min_seconds <= max_seconds"
            )


@dataclass(frozen=True)
class AugmentConfig:
    """Changes of the spectra of original recordings in training. Nothing generated is ever used."""

    tempo: float = option(0.12, "duration is multiplied by a number from 1 +- this")
    warp: float = option(0.1, "the mel axis is stretched by a number from 1 +- this: another vocal tract")
    blur: int = option(
        1, "log spectra are averaged over up to this many neighbours on each side, in time and in frequency"
    )
    jitter: float = option(0.2, "standard deviation of noise on log spectra, from 0 to this")
    floor_probability: float = option(
        0.5, "share of utterances to which a background noise of random level is added"
    )
    time_masks: int = option(3, "spans of up to 200 ms that are hidden")
    mel_masks: int = option(2, "groups of up to a fifth of the bands that are hidden")

    def __post_init__(self):
        for name, below in (("tempo", 0.5), ("warp", 0.5), ("jitter", 10.0), ("floor_probability", 1.0001)):
            if not 0 <= getattr(self, name) < below:
                raise InputError(
                    f"augment.{name} is {getattr(self, name)}, expected 0 or more and less than {below:g}"
                )
        for name in ("blur", "time_masks", "mel_masks"):
            if getattr(self, name) < 0:
                raise InputError(f"augment.{name} is {getattr(self, name)}, expected at least 0")


def _check_examples(config: TextDataConfig | DenoisingDataConfig) -> None:
    for name in ("token_dropout", "token_noise"):
        if not 0 <= getattr(config, name) <= 1:
            raise InputError(f"data.{name} is {getattr(config, name)}, expected a number in [0, 1]")
    if config.noise_span < 1:
        raise InputError(f"data.noise_span is {config.noise_span}, expected at least 1 frame")
    if not 0 <= config.min_seconds < config.max_seconds:
        raise InputError(
            f"data.min_seconds ({config.min_seconds}) must be below data.max_seconds ({config.max_seconds})"
        )
