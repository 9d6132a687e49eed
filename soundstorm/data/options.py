"""How a configuration dataclass declares an option of the command line."""

from dataclasses import field
from typing import Any

# What a training does that goes on with another value; it refuses where nothing is said.
MAY_CHANGE = "goes on"
INEXACT = "goes on, but not as one that was never interrupted"


def option(default: Any, text: str, *, on_resume: str = "") -> Any:
    """A field with its default, what ``--help`` says of it, and whether it may change on resuming."""
    return field(default=default, metadata={"help": text, "on_resume": on_resume})
