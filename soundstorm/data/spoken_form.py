"""Numbers, currencies, dates, times and units as they are spoken, by the grammars of WeTextProcessing."""

import functools

from soundstorm.data.errors import InputError


def spoken_form(text: str, language: str) -> str:
    """A text as it is read aloud: ``$12.50`` is twelve point five dollars.

    Args:
        text: as it is written.
        language: its code, one that the library ``wetext`` has a grammar for: en, zh, ...

    Raises:
        ValueError: the library is not installed, or has no such grammar.
    """
    if not text.strip():
        return text
    spoken = _normalizer(language).normalize(text)
    # Its grammars put a backslash before these two, and say nothing of what they cannot read.
    return spoken.replace('\\"', '"').replace("\\\\", "\\") or text


@functools.cache
def _normalizer(language: str):
    try:
        from wetext import Normalizer
    except ImportError as error:
        raise InputError(
            f"wetext, which speaks numbers, cannot be imported ({error}); run: pip install wetext"
        ) from error
    normalizer = Normalizer(lang=language, operator="tn")
    try:
        normalizer.normalize("1")
    except (KeyError, ValueError, RuntimeError, OSError) as error:
        raise InputError(f"wetext has no grammar of language {language!r:.40} to speak numbers; try en") from error
    return normalizer
