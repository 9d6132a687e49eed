"""The sentences that a label of the benchmark allows by the grammar of its orders, and the nearest one.

`data/rhino/coffee_maker.yaml` has, for each intent, expressions such as "[brew, can I get] [a, an] $size:size
$coffeeDrink:coffeeDrink": alternatives in brackets, $<kind>:<slot> for a slot, words. A label of
`data/label/label.json` gives the intent and the words of each slot. So the words are the label's; the opening
and the order of the slots, which it does not tell, are what the grammar allows and a recogniser chooses
between.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(r"\s*(?:\[(?P<choices>[^][]+)\]|\$[\w.]+:(?P<slot>\w+)|(?P<word>[^][$()\s]+))")
_WRONG_ARTICLE = re.compile(r"\ba (?=[aeiou])|\ban (?=[^aeiou])")


class Choice(NamedTuple):
    """The nearest of some sentences.

    Attributes:
        text: The sentence.
        edits: Letters that differ from what was heard.
        margin: How many more differ in the next one; infinite where there is no other.
    """

    text: str
    edits: int
    margin: float


def read_grammar(path: Path) -> dict[str, list[str]]:
    """Intent to expressions.

    Raises:
        ValueError: The file is no grammar of this kind.
    """
    import yaml

    try:
        intents = yaml.safe_load(path.read_text(encoding="utf-8"))["context"]["expressions"]
        return {str(intent): [str(expression) for expression in found] for intent, found in intents.items()}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not a grammar with context/expressions/<intent> ({error!r:.80})"
        ) from error


def sentences(expressions: Iterable[str], slots: Mapping[str, str]) -> list[str]:
    """All sentences of the expressions with exactly these slots, in small letters, "an" before vowels only.

    Args:
        expressions: Of the label's intent.
        slots: Name to words.
    """
    found = {}
    for expression in expressions:
        parts = _parse(expression)
        if sorted(part for part in parts if isinstance(part, str)) != sorted(slots):
            continue
        alternatives = [[slots[part]] if isinstance(part, str) else part for part in parts]
        for words in itertools.product(*alternatives):
            sentence = " ".join(" ".join(words).lower().split())
            if not _WRONG_ARTICLE.search(sentence):
                found[sentence] = None
    return list(found)


def _parse(expression: str) -> list[str | list[str]]:
    """The name of each slot, and alternatives for all else."""
    parts: list[str | list[str]] = []
    place = 0
    while place < len(expression.rstrip()):
        match = _PART.match(expression, place)
        if match is None:
            raise ValueError(
                f"the grammar has the expression {expression!r}, of which {expression[place:]!r} is none of "
                "words, [one, another] and $kind:slot"
            )
        choices = [choice.strip() for choice in (match["choices"] or match["word"] or "").split(",")]
        parts.append(match["slot"] or choices)
        place = match.end()
    return parts


def nearest(heard: str, candidates: Iterable[str], normalize: Callable[[str], str]) -> Choice:
    """The sentence with the fewest edits, letter by letter, from what was heard, both normalised."""
    from rapidfuzz.distance import Levenshtein

    heard = normalize(heard)
    ranked = sorted((Levenshtein.distance(heard, normalize(text)), text) for text in candidates)
    margin = ranked[1][0] - ranked[0][0] if len(ranked) > 1 else float("inf")
    return Choice(ranked[0][1], ranked[0][0], margin)
