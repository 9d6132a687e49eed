"""How a configuration dataclass declares an option of the command line, and which of its values are refused."""

import operator
from dataclasses import field, fields
from typing import Any

from soundstorm.data.errors import InputError

# What a training does that goes on with another value; it refuses where nothing is said.
MAY_CHANGE = "goes on"
INEXACT = "goes on, but not as one that was never interrupted"
# What an option may say of its values: whether one is as declared, and the words for it.
RULES = {
    "one_of": (
        lambda value, words: value in words,
        lambda words: f"one of {', '.join(word or repr(word) for word in words)}",
    ),
    "odd": (lambda value, _: value % 2 == 1, "an odd number".format),
    "even": (lambda value, _: value % 2 == 0, "an even number".format),
    "multiple_of": (lambda value, factor: value % factor == 0, "a multiple of {}".format),
    "within": (lambda value, ends: ends[0] <= value <= ends[1], "{0[0]} to {0[1]}".format),
    "at_least": (operator.ge, "at least {}".format),
    "more_than": (operator.gt, "more than {}".format),
    "at_most": (operator.le, "at most {}".format),
    "less_than": (operator.lt, "less than {}".format),
}


def option(default: Any, text: str, *, on_resume: str = "", **allowed: Any) -> Any:
    """A field with its default, what ``--help`` says of it, and whether it may change on resuming.

    ``allowed`` are rules by the names of :data:`RULES`, such as ``at_least=1`` or ``one_of=("sum", "unet")``. They hold
    for each item of a tuple, which then has one at least, and not for a default of None. Numbers that have rules are
    finite.
    """
    if "one_of" not in allowed and allowed:  # texts name the words and what they do
        text = f"{text} ({_in_words(allowed)})"
    return field(default=default, metadata={"help": text, "on_resume": on_resume, "allowed": allowed})


class Config:
    """A configuration dataclass, which refuses values that its options do not allow.

    A subclass names the section of the YAML that it is, for messages. What relates several fields it checks in its own
    ``__post_init__``, after this one.
    """

    _prefix = ""

    def __init_subclass__(cls, section: str = "", **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if section:
            cls._prefix = f"{section}."

    def __post_init__(self):
        for setting in fields(self):
            value, allowed = getattr(self, setting.name), setting.metadata.get("allowed")
            if allowed and not (value is None and setting.default is None):
                _check(f"{self._prefix}{setting.name}", value, allowed, setting.default is None)


def _check(name: str, value: Any, allowed: dict[str, Any], optional: bool) -> None:
    several = isinstance(value, (tuple, list))
    items = value if several else (value,)
    finite = all(abs(item) < float("inf") for item in items if isinstance(item, (int, float)))
    if items and finite and all(RULES[rule][0](item, what) for item in items for rule, what in allowed.items()):
        return
    expected = _in_words(allowed) if finite else "a finite number"
    if several:
        raise InputError(f"{name} are {value}, expected one or more values, each {expected}")
    raise InputError(f"{name} is {value!r:.80}, expected {expected}{' or none' if optional else ''}")


def _in_words(allowed: dict[str, Any]) -> str:
    return " and ".join(RULES[rule][1](what) for rule, what in allowed.items())
