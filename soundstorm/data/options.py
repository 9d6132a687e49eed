"""How a configuration dataclass declares an option of the command line."""

from dataclasses import field
from typing import Any


def option(default: Any, text: str) -> Any:
    """A dataclass field with its default and what ``--help`` says of it."""
    return field(default=default, metadata={"help": text})
