"""Weights in an ONNX file, for networks that are computed otherwise than node by node.

ONNX is protobuf: a message is a sequence of fields, each a key (number times 8 plus kind) and a value. Of all fields
those on the way to the constants are read; `onnx`, which reads them all, is not needed to score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from soundstorm.data.errors import InputError

GRAPH, CONSTANT = 7, 5  # fields of a model, of a graph
SHAPE, KIND, NAME, NUMBERS, BYTES = 1, 2, 8, 4, 9  # fields of a constant
FLOAT32 = 1  # the kind


def read_onnx_weights(path: str | Path) -> dict[str, np.ndarray]:
    """The float32 constants of a model by name.

    Raises:
        ValueError: not an ONNX file, or one without such constants.
    """
    try:
        found = dict(_constants(Path(path).read_bytes()))
    except (IndexError, ValueError) as error:
        raise InputError(f"{path}: not an ONNX file with weights ({error}); install its package again") from error
    if not found:
        raise InputError(f"{path}: no float32 constant in it, expected an ONNX file with weights")
    return found


def _constants(model: bytes) -> Iterator[tuple[str, np.ndarray]]:
    for number, graph in _fields(model):
        for inner, constant in _fields(graph) if number == GRAPH else ():
            if inner != CONSTANT:
                continue
            values: dict[int, list] = {}
            for field, value in _fields(constant):
                values.setdefault(field, []).append(value)
            if values[KIND] != [FLOAT32]:
                continue
            shape = [size for value in values.get(SHAPE, ()) for size in _numbers(value)]
            data = np.frombuffer(b"".join(values.get(NUMBERS, values.get(BYTES, ()))), "<f4")
            if len(data) != math.prod(shape):
                raise ValueError(f"{len(data)} numbers for the shape {shape}")
            yield values[NAME][0].decode(), data.reshape(shape)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        if key % 8 == 0:
            value, place = _number(message, place)
        else:
            if key % 8 not in (1, 2, 5):
                raise ValueError(f"a field of kind {key % 8}")
            size, place = _number(message, place) if key % 8 == 2 else ({1: 8, 5: 4}[key % 8], place)
            if place + size > len(message):
                raise ValueError("it ends too early")
            value, place = message[place : place + size], place + size
        yield key // 8, value


def _number(message: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits to a byte, and the place after it."""
    total = shift = 0
    while True:
        byte = message[place]
        total, shift, place = total | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return total, place


def _numbers(value: int | bytes) -> Iterator[int]:
    """One number, or several that are packed."""
    if isinstance(value, int):
        yield value
        return
    place = 0
    while place < len(value):
        number, place = _number(value, place)
        yield number
