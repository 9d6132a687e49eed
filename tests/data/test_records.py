"""What is read back is of the type that was written, or a ValueError that names the file."""

from dataclasses import dataclass

import pytest

from soundstorm.data.records import make_record, read_json


@dataclass(frozen=True)
class Record:
    width: int
    rate: float = 0.5
    name: str | None = None
    strides: tuple[int, ...] = (2, 4)
    fast: bool = False

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width is {self.width}, expected at least 1")


def test_a_record_is_read_back_with_its_types():
    values = {"width": 3, "rate": 1, "name": None, "strides": [1, 2, 3], "fast": True}
    record = make_record(Record, values, "x.json")
    assert record == Record(3, 1.0, None, (1, 2, 3), True) and isinstance(record.rate, float)
    assert make_record(Record, {"width": 3}, "x.json") == Record(3)


@pytest.mark.parametrize(
    "values, message",
    [
        ([], "expected fields with values, got"),
        ({}, "no field 'width'; expected the fields width, rate"),
        ({"width": 3, "depth": 1}, "unknown field 'depth'; expected the fields width, rate"),
        ({"width": 0}, "width is 0, expected at least 1"),
        ({"width": True}, "width is True, expected a value of type int"),
        ({"width": 3.5}, "width is 3.5, expected a value of type int"),
        ({"width": 10**30}, "width is 10+, expected a value of type int"),
        ({"width": 3, "rate": float("nan")}, "rate is nan, expected a value of type float"),
        ({"width": 3, "rate": 10**400}, "rate is 10+, expected a value of type float"),
        ({"width": 3, "rate": None}, "rate is None, expected a value of type float"),
        ({"width": 3, "name": 5}, "name is 5, expected a value of type str"),
        ({"width": 3, "strides": 4}, "strides is 4, expected a value of type list"),
        ({"width": 3, "strides": [4, "x"]}, "strides is 'x', expected a value of type int"),
        ({"width": 3, "fast": 1}, "fast is 1, expected a value of type bool"),
    ],
)
def test_a_record_that_is_none_is_refused_with_the_field(values, message):
    with pytest.raises(ValueError, match=f"x.json: {message}"):
        make_record(Record, values, "x.json")


@pytest.mark.parametrize(
    "content, message",
    [(b"{", "not JSON"), (b"\xff", "not JSON"), (b"[" * 100000, "not JSON"), (b"[1]", "expected a JSON object, got")],
)
def test_json_that_is_no_object_is_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"x.json: {message}.*; do it again"):
        read_json(tmp_path / "x.json", "do it again")
    with pytest.raises(FileNotFoundError, match="y.json: no such file; do it again"):
        read_json(tmp_path / "y.json", "do it again")


@pytest.mark.parametrize("content", [b'{"a": "\xed\xa0\x80"}', b'{"a": "\\ud800"}'])
def test_half_a_character_is_no_text(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match="x.json: not JSON"):
        read_json(tmp_path / "x.json", "make it again")
    (tmp_path / "x.json").write_text('\ufeff{"a": "\\ud83d\\ude00"}', encoding="utf-8")
    assert read_json(tmp_path / "x.json", "make it again") == {"a": "\U0001f600"}
