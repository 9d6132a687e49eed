"""The words of transcripts as they are compared: without case, punctuation and whatever else is not heard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from soundstorm.data.errors import InputError
from soundstorm.data.text import TURN_MARKER, normalize_text

# What is written for an apostrophe: accents, modifier letters, quotes, primes; in Greek, Armenian, Hebrew.
_APOSTROPHES = str.maketrans(dict.fromkeys("`´ʹʻʼʽˈ΄᾽᾿՚׳‘’‛′‵＇", "'"))
_WITHIN_WORDS = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef]"  # variation selectors
    r"|(?<=\d)[.,٫٬](?=\d)"  # 1,000 and 3.5
    r"|(?<=\b[^\W\d_])\.(?=[^\W\d_]\b)|\.(?=[^\W\d_]\.)"  # U.S., e.g., Ph.D.
    "|(?<=l)·(?=l)"  # Catalan
)
# Scripts without blanks between words: Thai, Lao, Myanmar, Khmer, Kana, Han. Marks are none between them.
_UNSPACED = (
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u309f\u30a1-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
_MARKS_OF_UNSPACED = re.compile(rf"(?<={_UNSPACED})[^\w\s]+(?={_UNSPACED})")


def scored_text(text: str) -> str:
    """Lower case words separated by one space, without what a recogniser cannot hear.

    The turn marker between the speakers of a dialogue is not a word: it goes, and it parts the words around
    it. So does all punctuation, but for an apostrophe inside a word and marks in numbers and abbreviations.
    """
    text = "".join(map(_unfolded, text.replace(TURN_MARKER, " ").translate(_APOSTROPHES)))
    text = normalize_text(text).translate(_APOSTROPHES)  # a letter may hold an apostrophe, as ŉ does
    text = _MARKS_OF_UNSPACED.sub("", _WITHIN_WORDS.sub("", text)).replace("''", " ")
    words = "".join(c if c == "'" or c.isalnum() or _is_mark(c) else " " for c in text).split()
    return " ".join(word.strip("'") for word in words if any(map(str.isalnum, word)))


def _unfolded(character: str) -> str:
    """A character as NFKC may see it: of 2½ that makes 21/2, of spacing accents marks of letters."""
    if unicodedata.category(character) == "Cf":  # joiners, directions, soft hyphens
        return " " if character == "\u200b" else ""  # the space of zero width parts words
    origin = unicodedata.decomposition(character)
    if origin.startswith("<fraction>"):
        return f" {character} "
    return " " if origin.startswith("<compat> 0020") else character


def _is_mark(character: str) -> bool:
    """Combining marks are part of a letter in many scripts; enclosing ones (a keycap) are not."""
    return unicodedata.category(character) in ("Mn", "Mc")


def load_normalizer(name: str | None) -> Callable[[str], str]:
    """What brings texts to one form before words are counted: :func:`scored_text`, or a published one.

    Args:
        name: None, or ``english``: of Whisper (Radford et al. 2022, appendix C), which also brings numbers,
            contractions, titles and British spellings to one form.

    Raises:
        ValueError: the package is not installed.
    """
    if name is None:
        return scored_text
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise InputError(
            f"score.text_normalizer english cannot be imported ({error}); run: pip install whisper-normalizer"
        ) from error
    english = EnglishTextNormalizer()
    return lambda text: english(text.replace(TURN_MARKER, " ").translate(_APOSTROPHES))


def read_references(
    texts: Mapping[str, str], normalize: Callable[[str], str] = scored_text
) -> dict[str, str]:
    """Normalised references of the utterances that have words."""
    normalized = {utt_id: normalize(text) for utt_id, text in texts.items()}
    return {utt_id: text for utt_id, text in normalized.items() if text}
