"""The alphabet of a CTC recogniser."""

from collections.abc import Iterable

from soundstorm.data.errors import InputError

BLANK = "<blank>"
UNKNOWN = "<unk>"
WORD_BOUNDARY = "|"  # in the recogniser's alphabet; no relation to a dialogue's turn marker


def build_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Number the blank, the word boundary and every character of normalised texts."""
    characters = sorted({character for text in texts for character in text} - {" "})
    if not characters:
        raise InputError(
            "the training texts have no characters; a recogniser needs a transcribed data directory"
        )
    if WORD_BOUNDARY in characters:
        raise InputError(f"texts still have {WORD_BOUNDARY!r}: normalise them before making an alphabet")
    return {token: i for i, token in enumerate([BLANK, WORD_BOUNDARY, *characters, UNKNOWN])}


def encode_text(text: str, vocabulary: dict[str, int]) -> list[int]:
    """Numbers of a normalised text's characters."""
    unknown = vocabulary[UNKNOWN]
    return [vocabulary.get(WORD_BOUNDARY if c == " " else c, unknown) for c in text]
