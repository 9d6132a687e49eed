"""What is exchanged of an utterance with other toolkits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from soundstorm.data.archive import TokenizerInfo, parse_array
from soundstorm.data.data_dir import check_ids
from soundstorm.data.errors import InputError
from soundstorm.data.records import as_type

REMEDY = "export it again"


@dataclass(frozen=True)
class Utterance:
    """What is exchanged of one."""

    name: str
    tokens: dict[str, np.ndarray]  # kind -> (T,) or (T, Q)
    speaker: str | None = None
    text: str | None = None
    seconds: float | None = None
    recording: str | None = None  # path
    start: float = 0.0  # seconds from its beginning
    extent: float | None = None  # seconds of the recording

    @classmethod
    def of(cls, tokens: dict[str, np.ndarray], where: str, **values: Any) -> Utterance:
        """Of values that a file had, which may be anything; words and paths become one line.

        Raises:
            ValueError: a value of another type, or a name that cannot be.
        """
        for name in ("speaker", "text", "recording"):
            if isinstance(values.get(name), str):
                values[name] = " ".join(values[name].split())
        hints = get_type_hints(cls)
        try:
            values = {key: as_type(value, hints[key], key) for key, value in values.items()}
        except ValueError as error:
            raise InputError(f"{where}: {error}; {REMEDY}") from error
        check_ids([values["name"], values["speaker"] or values["name"]], where)
        return cls(tokens=tokens, **values)


@dataclass(frozen=True)
class Export:
    """An export on its way: ``folder`` becomes ``final``."""

    folder: Path
    final: Path
    infos: dict[str, TokenizerInfo]


def read_array(content: bytes, where: str) -> np.ndarray:
    """A ``.npy`` file of integers.

    Raises:
        ValueError: it is none.
    """
    try:
        return parse_array(content)
    except (ValueError, EOFError, OverflowError) as error:
        raise InputError(f"{where}: no array of integers ({error}); {REMEDY}") from error
