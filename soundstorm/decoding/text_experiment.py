"""What experiments of all text-to-semantic models have beside their weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.experiment import config_section
from soundstorm.data.text import ByteTokenizer, SentencePieceTokenizer, TextTokenizer
from soundstorm.models.text_to_semantic_config import (
    CHARACTERS_FILE,
    ENCODER_DIR,
    SCRATCH,
    SENTENCEPIECE_FILE,
    TextConfig,
    TextEncoderConfig,
)

Config = TypeVar("Config", bound=TextEncoderConfig)


@dataclass(frozen=True)
class TextExperiment(Generic[Config]):
    """What was read."""

    model: Config
    info: TokenizerInfo  # of the semantic tokens
    tokenizer: TextTokenizer
    characters: frozenset[str]  # of the training texts; none: nobody knows
    sizes: dict[str, Any]  # what the model is built with beside its configuration


def read_text_experiment(expdir: Path, model_config: type[Config]) -> TextExperiment[Config]:
    """Settings, text tokenizer and the shape of a published encoder.

    Raises:
        FileNotFoundError: that shape is missing.
        ValueError: an experiment of another kind.
    """
    info = config_section(expdir, "semantic", TokenizerInfo)
    text, model = config_section(expdir, "text", TextConfig), config_section(expdir, "model", model_config)
    tokenizer = load_text_tokenizer(text, expdir)
    encoder_dir = expdir / ENCODER_DIR
    if model.encoder != SCRATCH and not encoder_dir.is_dir():
        raise FileNotFoundError(
            f"{encoder_dir}: no such directory, but config.yaml names the encoder {model.encoder!r}; "
            "train the experiment again"
        )
    sizes = {"text_vocab_size": tokenizer.vocab_size, "num_tokens": info.codebook_size}
    sizes |= {"encoder_dir": encoder_dir if encoder_dir.is_dir() else None}
    known = expdir / CHARACTERS_FILE
    characters = known.read_text(encoding="utf-8").removesuffix("\n") if known.is_file() else ""
    return TextExperiment(model, info, tokenizer, frozenset(characters), sizes)


def load_text_tokenizer(text: TextConfig, expdir: Path) -> TextTokenizer:
    """The text tokenizer of an experiment."""
    if text.tokenizer == "bytes":
        return ByteTokenizer(lowercase=text.lowercase)
    return SentencePieceTokenizer(expdir / SENTENCEPIECE_FILE, lowercase=text.lowercase)
