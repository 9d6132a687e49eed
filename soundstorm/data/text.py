"""From a transcript to the numbers a text encoder reads: ByT5's bytes, or SentencePiece sub-words."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from soundstorm.data.data_dir import whole_file
from soundstorm.data.data_dir_values import has_words
from soundstorm.data.errors import InputError

TURN_MARKER = "|"  # written between two speakers' turns, SoundStorm's dialogue synthesis and its demonstration page
PAD_ID, EOS_ID, UNK_ID = 0, 1, 2  # as in every published T5 and ByT5
_TYPOGRAPHIC = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})


def normalize_text(text: str, *, lowercase: bool = True) -> str:
    """One spelling for what is pronounced alike: NFKC, plain quotes, single spaces, the turn marker set
    apart.

    Args:
        text: a transcript.
        lowercase: corpora disagree on capitals, and they are not heard.

    Returns:
        The text, possibly empty.
    """
    text = unicodedata.normalize("NFKC", text.translate(_TYPOGRAPHIC))
    text = text.lower() if lowercase else text
    text = text.replace(TURN_MARKER, f" {TURN_MARKER} ")
    return re.sub(r"\s+", " ", text).strip()


class TextTokenizer(Protocol):
    """What datasets and decoding need to know of text."""

    vocab_size: int
    lowercase: bool

    def encode(self, text: str, *, where: str = "text") -> np.ndarray:
        """Normalised text to int64 ids ``(L,)`` that end with ``EOS_ID``; ``where`` is for errors."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Ids back to text; pad and end marks say nothing."""
        ...


class ByteTokenizer:
    """UTF-8 bytes with ByT5's numbers: pad 0, end 1, unknown 2, byte ``b`` at ``b + 3``, then 125 unused."""

    vocab_size = 384

    def __init__(self, *, lowercase: bool = True):
        self.lowercase = lowercase

    def encode(self, text: str, *, where: str = "text") -> np.ndarray:
        """Normalise a text and number its bytes, the end included: int64 ``(L,)``."""
        raw = _normalize_or_refuse(text, self.lowercase, where).encode("utf-8")
        return np.append(np.frombuffer(raw, np.uint8).astype(np.int64) + 3, EOS_ID)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; special ones say nothing."""
        return bytes(int(i) - 3 for i in ids if 3 <= i < 259).decode("utf-8", errors="replace")


class SentencePieceTokenizer:
    """Sub-words of a SentencePiece model; the turn marker is always a piece of its own.

    A published T5's ``spiece.model`` works too, as its special ids are the same.
    """

    def __init__(self, model_file: str | Path, *, lowercase: bool = True):
        """
        Args:
            model_file: written by :func:`train_sentencepiece`, or a published T5's ``spiece.model``.
            lowercase: as :func:`normalize_text`.
        """
        import sentencepiece

        if not Path(model_file).is_file():
            raise FileNotFoundError(
                f"{model_file}: no such SentencePiece model; train one or name an existing file"
            )
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(model_file))
        except (RuntimeError, OSError) as error:
            raise InputError(
                f"{model_file}: not a SentencePiece model ({str(error).strip():.100})"
            ) from error
        got = (self._pieces.pad_id(), self._pieces.eos_id(), self._pieces.unk_id())
        if got != (PAD_ID, EOS_ID, UNK_ID):
            raise InputError(
                f"{model_file}: pad, end and unknown have the ids {got}, expected "
                f"{(PAD_ID, EOS_ID, UNK_ID)} as in T5; "
                "train the model with this recipe"
            )
        self.model_file = Path(model_file)
        self.lowercase = lowercase
        self.vocab_size = self._pieces.vocab_size()

    def encode(self, text: str, *, where: str = "text") -> np.ndarray:
        """Normalise a text and number its pieces, the end included: int64 ``(L,)``."""
        text = _normalize_or_refuse(text, self.lowercase, where)
        return np.array([*self._pieces.encode(text), EOS_ID], dtype=np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; special ones say nothing."""
        return self._pieces.decode([int(i) for i in ids if UNK_ID < i < self.vocab_size])


def _normalize_or_refuse(text: str, lowercase: bool, where: str) -> str:
    normalized = normalize_text(text, lowercase=lowercase)
    if not has_words(normalized):
        raise InputError(
            f"{where}: nothing to pronounce in {text!r}; expected letters or digits. "
            "Give it words or remove it"
        )
    return normalized


def train_sentencepiece(
    texts: Iterable[str], model_file: str | Path, *, vocab_size: int, lowercase: bool = True
) -> SentencePieceTokenizer:
    """Learn sub-words from transcripts and write ``model_file``; the same texts give the same model.

    Args:
        texts: transcripts.
        model_file: where to write.
        vocab_size: pieces, with the three special ones and the turn marker.
        lowercase: as :func:`normalize_text`.
    """
    import sentencepiece

    lines = [line for line in (normalize_text(text, lowercase=lowercase) for text in texts) if line]
    if not lines:
        raise InputError(f"no text to learn {vocab_size} SentencePiece units from; every transcript is empty")
    model_file = Path(model_file)
    model_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_file(model_file) as temporary, open(temporary, "wb") as stream:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=stream, vocab_size=vocab_size,
                character_coverage=1.0,
                pad_id=PAD_ID, eos_id=EOS_ID, unk_id=UNK_ID, bos_id=-1, user_defined_symbols=[TURN_MARKER],
                num_threads=1, minloglevel=2,
            )  # fmt: skip
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"cannot learn {vocab_size} SentencePiece units from {len(lines)} lines: {reason}"
        ) from error
    return SentencePieceTokenizer(model_file, lowercase=lowercase)
