"""What decodes a data directory: source, models and options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.data.prompt_encodings import ALONE, PROMPT_ENCODING, check_encoding
from soundstorm.decoding.acoustic_generator import kind_named, sampling_of
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.semantic_generator import find_text_kind, text_kind_named

SOURCES = ("codec", "semantic", "text", "continuation")


@dataclass(frozen=True)
class System:
    """Source, models and options of a synthesis."""

    source: str  # "codec" (round trip), "semantic" (ground-truth tokens), "text" or "continuation" (of the prompt's)
    codec: str | None  # none of a model without tokens alone
    acoustic_model: str | None = None  # experiment or pack of an acoustic generator
    variant: str = ""  # what its training is called in tables, among others of its kind
    text_to_semantic: str | None = None
    continuation: str | None = None  # experiment of AudioLM's semantic stage
    prompt_seconds: float = 0.0  # true beginning of each utterance, at all levels; 0 for none
    prompt_encoding: str = PROMPT_ENCODING  # of the prompt's seconds alone, or as part of the recording
    kmeans: str | None = None  # the semantic tokenizer, for prompts that are encoded alone
    as_recorded: bool = False  # speech from text that is as long as the recording
    # Sampling options of generators, by section; all acoustic kinds use seed and best_of of "decode".
    samplings: Mapping[str, Any] = field(default_factory=lambda: {"decode": ParallelConfig()})

    def __post_init__(self):
        if self.source not in SOURCES:
            raise InputError(f"--from is {self.source!r}, expected {', '.join(SOURCES[:-1])} or {SOURCES[-1]}")
        if self.source != "codec" and not self.acoustic_model:
            raise InputError(
                f"--from {self.source} needs --acoustic-model, an experiment directory of stage 4 or a pack"
            )
        if self.source == "continuation" and not self.continuation:
            raise InputError(
                "--from continuation needs --continuation, the experiment directory of train_audiolm --stage semantic"
            )
        if not 0 <= self.prompt_seconds < float("inf"):
            raise InputError(f"--prompt-seconds is {self.prompt_seconds}, expected 0 or more")
        # Neither the round trip nor a system that makes samples of text has semantic tokens of prompts.
        tokens = self.source in ("semantic", "continuation") or self.source == "text" and bool(self.text_to_semantic)
        check_encoding(self.prompt_encoding, self.kmeans, bool(self.prompt_seconds) and tokens)

    @property
    def encodes_prompts(self) -> bool:
        """Whether prompts are encoded here, from their own seconds."""
        return bool(self.prompt_seconds) and self.source != "codec" and self.prompt_encoding == ALONE

    @property
    def seed(self) -> int:
        """Of the run; each utterance has its own stream."""
        return self.samplings["decode"].seed

    @property
    def samples(self) -> int:
        """Samples of each utterance, of which the best one is kept."""
        return self.samplings["decode"].best_of if self.source != "codec" else 1

    @property
    def text_kind(self) -> str | None:
        """Of its semantic generator, if it has one."""
        return find_text_kind(self.text_to_semantic) if self.source == "text" and self.text_to_semantic else None

    def title(self, kind: str | None) -> str:
        """Its name in tables, given the kind of its acoustic generator."""
        if kind is None:
            return "Codec round trip"
        model = kind_named(kind).system_title(sampling_of(kind, self.samplings))
        model += f", {self.variant}" if self.variant else ""
        source = {"text": " from text", "continuation": ", continuation"}.get(self.source, "")
        source += text_kind_named(self.text_kind).suffix if self.text_kind else ""
        if not self.prompt_seconds:
            return model + source
        encoded = "" if self.prompt_encoding == PROMPT_ENCODING else f" encoded {self.prompt_encoding}"
        return f"{model}{source} ({self.prompt_seconds:g} s prompt{encoded})"
