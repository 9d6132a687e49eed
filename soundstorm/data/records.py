"""Reading back what was written as JSON or YAML, or a message that names the file."""

from __future__ import annotations

import hashlib
import json
import math
import types
import typing
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from soundstorm.data.errors import InputError

Record = TypeVar("Record")
LARGEST_INTEGER = 2**53  # beyond, neighbours cannot be told apart once written as floating-point numbers


def digest_of(path: str | Path) -> str:
    """A digest of a file's content."""
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: the file.
        remedy: what to do about a file that is none, for the message.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not UTF-8, not JSON, or JSON that is no object.
    """
    try:
        content = Path(path).read_text(encoding="utf-8-sig")
        values = json.loads(content)
        if "\\ud" in content.lower():  # half a character, which nothing can write again
            json.dumps(values, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, got {values!r:.80}; {remedy}")
    return values


def make_record(cls: type[Record], values: object, where: str) -> Record:
    """An instance of a dataclass from a mapping whose fields and types may be anything.

    Args:
        cls: the dataclass; its own checks run too. Fields with a default may be missing.
        values: what was read.
        where: the file, for messages.

    Raises:
        ValueError: not a mapping, an unknown or a missing field, a value of another type, or one that ``cls``
            refuses.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected fields with values, got {values!r:.80}")
    known = {
        field.name: field.default is MISSING and field.default_factory is MISSING for field in fields(cls)
    }
    unknown = [name for name in values if name not in known]
    if unknown:
        raise InputError(f"{where}: unknown field {unknown[0]!r:.80}; expected the fields {', '.join(known)}")
    missing = [name for name, needed in known.items() if needed and name not in values]
    if missing:
        raise InputError(f"{where}: no field {missing[0]!r}; expected the fields {', '.join(known)}")
    hints = typing.get_type_hints(cls)
    try:
        return cls(**{name: as_type(value, hints[name], name) for name, value in values.items()})
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def as_type(value: object, hint: Any, name: str) -> Any:
    """``value`` as a field's type: int, float, bool, str, a tuple of one of these, or None where the type
    allows it.

    Raises:
        ValueError: it is of another type, or a number that is not finite.
    """
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None and types.NoneType in typing.get_args(hint):
            return None
        (hint,) = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(as_type(item, typing.get_args(hint)[0], name) for item in value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and not (abs(value) < LARGEST_INTEGER if isinstance(value, int) else math.isfinite(value)):
        number = False
    elif hint is float and number:
        return float(value)
    elif hint is int and number and isinstance(value, int):
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    kind = getattr(hint, "__name__", "list") if typing.get_origin(hint) is None else "list"
    raise InputError(f"{name} is {value!r:.80}, expected a value of type {kind}")
