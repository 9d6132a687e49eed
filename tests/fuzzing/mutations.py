"""Ways of damaging a file: by chance, and by what an attacker or a mistaken user would write."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import yaml

CANARY = "canary"  # relative to the folder of a case; data that run would make it
COMMANDS = (
    f"touch {CANARY} |",
    f"| touch {CANARY}",
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY};",
)
PATHS = ("../../outside", "/etc/passwd", "/dev/zero", "/", "~/x", ".", "x\x00y", "n" * 300, "a/b", "https://example.com/a")
NUMBERS = ("-1", "0", "nan", "inf", "-inf", "1e308", "9" * 30, "0x10", "1_0", "1e-320", "-0")
YAML_TAGS = (
    f'!!python/object/apply:os.system ["touch {CANARY}"]',
    f"!!python/object/new:subprocess.Popen [[touch, {CANARY}]]",
    "!!python/name:os.system",
    "!!binary aGVsbG8=",
    "2026-11-21",
    "*missing",
    "&a [*a]",
)
LEAVES = (None, True, -1, 0, 0.5, 10**30, 1e308, float("nan"), float("inf"), "", "x", [], {}, [[1]], {"a": 1}, [None])


class _Payload:
    def __reduce__(self):
        import os

        return os.system, (f"touch {CANARY}",)


def pickle_payload() -> bytes:
    """What runs a command where it is unpickled."""
    return pickle.dumps(_Payload())


# -- any file ------------------------------------------------------------------------------------------------------


def truncate(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))] if data else data


def halve(data: bytes, rng: Random) -> bytes:
    return data[: len(data) // 2]


def empty(data: bytes, rng: Random) -> bytes:
    return b""


def flip(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_early(data: bytes, rng: Random) -> bytes:
    return flip(data[:200], rng) + data[200:]


def insert(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 3, 50))) + data[place:]


def remove(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 4, 30)) :]


def huge_number(data: bytes, rng: Random) -> bytes:
    """All ones, or the largest signed number, over a word near the beginning, where headers have their sizes."""
    place = rng.randrange(0, max(1, min(len(data), 120)))
    word = rng.choice((b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x00" * 4))
    return data[:place] + word + data[place + len(word) :]


def not_utf8(data: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice((b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80")) + data[place:]


def pickled(data: bytes, rng: Random) -> bytes:
    return pickle_payload()


ANY = (truncate, halve, empty, flip, flip_early, insert, remove)


# -- lines ---------------------------------------------------------------------------------------------------------


def _on_lines(change: Callable[[list[bytes], Random], None]) -> Callable[[bytes, Random], bytes]:
    def mutate(data: bytes, rng: Random) -> bytes:
        lines = data.splitlines(keepends=True)
        if lines:
            change(lines, rng)
        return b"".join(lines)

    mutate.__name__ = change.__name__.strip("_")
    return mutate


def _swap_lines(lines: list[bytes], rng: Random) -> None:
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]


def _repeat_line(lines: list[bytes], rng: Random) -> None:
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))


def _drop_line(lines: list[bytes], rng: Random) -> None:
    del lines[rng.randrange(len(lines))]


def _hostile_value(lines: list[bytes], rng: Random) -> None:
    place = rng.randrange(len(lines))
    key = lines[place].split(None, 1)[:1]
    value = rng.choice((*COMMANDS, *PATHS, *NUMBERS, "", "| |", "…!", "words\u2028more")).encode()
    lines[place] = b" ".join([*key, value]) + b"\n"


def _hostile_field(lines: list[bytes], rng: Random) -> None:
    place = rng.randrange(len(lines))
    fields = lines[place].split()
    if fields:
        fields[rng.randrange(len(fields))] = rng.choice((*NUMBERS, *PATHS, "x", "é")).encode()
    lines[place] = b" ".join(fields) + b"\n"


def _hostile_key(lines: list[bytes], rng: Random) -> None:
    place = rng.randrange(len(lines))
    rest = lines[place].split(None, 1)[1:]
    lines[place] = b" ".join([rng.choice(("../../up", "a/b", "/abs", "..", "é", "-x", "$(x)")).encode(), *rest])


def _windows_ends(lines: list[bytes], rng: Random) -> None:
    lines[:] = [line.rstrip(b"\n") + b"\r\n" for line in lines]


def _hostile_offset(lines: list[bytes], rng: Random) -> None:
    place = rng.randrange(len(lines))
    path, _, _ = lines[place].strip().rpartition(b":")
    lines[place] = path + b":" + rng.choice((*NUMBERS, "x", "1", "7")).encode() + b"\n"


LINES = tuple(
    _on_lines(change)
    for change in (
        _swap_lines,
        _repeat_line,
        _drop_line,
        _hostile_value,
        _hostile_value,
        _hostile_field,
        _hostile_key,
        _windows_ends,
    )
)
hostile_offset = _on_lines(_hostile_offset)


# -- JSON and YAML -------------------------------------------------------------------------------------------------


def _places(value: object) -> list[tuple[object, object]]:
    """Every (container, key) of a tree."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    found = [(value, key) for key in keys]
    return found + [place for key in keys for place in _places(value[key])]


def change_tree(tree: object, rng: Random) -> object:
    """Replace, remove, rename or add one value."""
    places = _places(tree)
    if not places:
        return rng.choice(LEAVES)
    container, key = rng.choice(places)
    act = rng.randrange(6)
    if act == 0 and isinstance(container, dict):
        del container[key]
    elif act == 1 and isinstance(container, dict):
        container[f"{key}s"] = container.pop(key)
    elif act == 2 and isinstance(container, dict):
        container["unknown"] = rng.choice(LEAVES)
    elif act == 3:
        container[key] = rng.choice((*COMMANDS, *PATHS, *NUMBERS))
    else:
        container[key] = rng.choice(LEAVES)
    return tree


def json_value(data: bytes, rng: Random) -> bytes:
    return json.dumps(change_tree(json.loads(data), rng), indent=1).encode()


def json_whole(data: bytes, rng: Random) -> bytes:
    return rng.choice((b"[" * 100000, b'{"a":' * 100000, b"[]", b"null", b'"x"', b"1e999", b"NaN", b"9" * 5000))


def yaml_value(data: bytes, rng: Random) -> bytes:
    return yaml.safe_dump(change_tree(yaml.safe_load(data), rng), sort_keys=False, allow_unicode=True).encode()


def yaml_tag(data: bytes, rng: Random) -> bytes:
    """An active or otherwise unusual value in place of one of the file's."""
    lines = data.decode().splitlines()
    places = [place for place, line in enumerate(lines) if ": " in line]
    place = rng.choice(places)
    lines[place] = lines[place].partition(":")[0] + ": " + rng.choice(YAML_TAGS)
    return "\n".join(lines).encode() + b"\n"


def yaml_whole(data: bytes, rng: Random) -> bytes:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))
    choices = (laughs, f"model: {'[' * 5000}", "- 1\n- 2\n", "model\n", "? {a: b}\n: c\n", YAML_TAGS[0], "\tmodel: 1\n")
    return rng.choice(choices).encode()


# -- binary formats ------------------------------------------------------------------------------------------------


def safetensors_header(data: bytes, rng: Random) -> bytes:
    """A header that is well formed and says something else."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    name = rng.choice([key for key in header if key != "__metadata__"])
    act = rng.randrange(5)
    if act == 0:
        header[name]["shape"] = rng.choice(([2**40], [0], [1, -1], [2**62, 4], list(reversed(header[name]["shape"]))))
    elif act == 1:
        header[name]["dtype"] = rng.choice(("F64", "I64", "U8", "F16", "BF16", "BOOL", "X"))
    elif act == 2:
        header[name]["data_offsets"] = rng.choice(([0, 2**60], [-1, 4], [8, 4]))
    elif act == 3:
        header[f"{name}.more"] = header.pop(name)
    else:
        del header[name]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def safetensors_size(data: bytes, rng: Random) -> bytes:
    return rng.choice((2**63, 2**40, 0, len(data))).to_bytes(8, "little") + data[8:]


def safetensors_values(data: bytes, rng: Random) -> bytes:
    """NaN over some of the numbers."""
    place = 8 + int.from_bytes(data[:8], "little")
    place += 4 * rng.randrange(max(1, (len(data) - place) // 4))
    return data[:place] + struct.pack("<f", float("nan")) + data[place + 4 :]


def archive_record(data: bytes, rng: Random) -> bytes:
    """Another record in place of the first one, as kaldiio frames it: ``NPY``, size of the length, length, record."""
    start = data.index(b"NPY")
    stream = io.BytesIO()
    act = rng.randrange(5)
    if act == 0:
        np.save(stream, np.array([_Payload()], dtype=object), allow_pickle=True)
    elif act == 1:
        stream.write(b"\x93NUMPY\x01\x00v\x00" + _numpy_header(rng).ljust(117).encode() + b"\n" + b"\x00" * 64)
    elif act == 2:
        stream.write(pickle_payload())
    elif act == 3:
        np.savez(stream, tokens=np.zeros(3, np.uint16))
    else:
        others = (np.zeros((2, 2, 2)), np.float32(1), np.full(9, -1), np.array(["a"]), np.zeros(0, int))
        np.save(stream, rng.choice(others))
    record = stream.getvalue()
    length = rng.choice((len(record), len(record), len(record), 2**62, 0))
    return data[: start + 3] + b"\x08" + length.to_bytes(8, "little") + record


def _numpy_header(rng: Random) -> str:
    shape = rng.choice(("(1000000000000,)", "(4611686018427387904, 4)", "(-1,)", "(2, 2)", "('a',)", "(1,", "()"))
    kind = rng.choice(("<u2", "|O", "<U9999999", "<f8", "x", "<u2, <u2"))
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


def other_audio(data: bytes, rng: Random) -> bytes:
    """Audio that is whole, and not what is needed."""
    import soundfile

    samples = np.random.default_rng(rng.randrange(1000)).normal(size=4000) * 0.1
    rate, form = 16000, "WAV"
    act = rng.randrange(7)
    if act == 0:
        samples = np.stack([samples, samples], axis=1)
    elif act == 1:
        rate = rng.choice((8000, 44100, 1))
    elif act == 2:
        samples[rng.randrange(4000)] = float(rng.choice(("nan", "inf")))
    elif act == 3:
        samples = samples[: rng.choice((0, 1, 100, 319))]
    elif act == 4:
        form = rng.choice(("OGG", "AIFF", "AU", "W64", "CAF"))
    elif act == 5:
        samples = samples * 0
    stream = io.BytesIO()
    subtype = "FLOAT" if form == "WAV" else None
    soundfile.write(stream, samples, rate if form != "OGG" else max(rate, 8000), format=form, subtype=subtype)
    return stream.getvalue()


def not_audio(data: bytes, rng: Random) -> bytes:
    return rng.choice((b"RIFF\xff\xff\xff\xffWAVE", b"fLaC" + b"\xff" * 40, b"not audio " * 200, b"ID3" + b"\x00" * 90))


def mutations_of(path: str) -> tuple[Callable[[bytes, Random], bytes], ...]:
    """Mutations that suit a file of the inputs, by its name."""
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        own = (safetensors_header, safetensors_header, safetensors_size, safetensors_values, pickled, huge_number)
    elif suffix == ".json":
        own = (json_value,) * 6 + (json_whole, not_utf8, pickled)
    elif suffix == ".jsonl":
        own = (json_whole, not_utf8, pickled)
    elif suffix == ".yaml":
        own = (yaml_value,) * 5 + (yaml_tag, yaml_tag, yaml_whole, not_utf8, pickled)
    elif suffix in (".ark", ".tar"):
        own = (huge_number, pickled) + (() if path.startswith("exported/") else (archive_record,) * 5)
    elif suffix in (".wav", ".flac"):
        own = (other_audio,) * 3 + (huge_number, huge_number, huge_number, not_audio, pickled)
    else:
        own = LINES + (not_utf8, hostile_offset, hostile_offset) if path.endswith("c.scp") else LINES + (not_utf8,)
    return ANY + own
