"""Values that an option does not allow are refused."""

from dataclasses import dataclass, replace

import pytest

from soundstorm.bin import common
from soundstorm.data.options import Config, option
from soundstorm.data.records import make_record


@dataclass(frozen=True)
class Shape(Config, section="shape"):
    layers: int = option(2, "of the network", at_least=1)
    share: float = option(0.5, "of what is left out", at_least=0, less_than=1)
    temperature: float = option(1.0, "of the samples", more_than=0, at_most=2)
    kernel: int = option(3, "of a convolution", odd=True, at_least=1)
    head: int = option(2, "its width", even=True, multiple_of=2)
    speed: float = option(1.0, "of speech", within=(0.5, 2))
    kind: str = option("round", "round or square", one_of=("round", "square"))
    name: str = option("", "anything, or paper", one_of=("", "paper"))
    strides: tuple[int, ...] = option((2, 4), "of convolutions", at_least=2)
    limit: int | None = option(None, "none for all", at_least=1)
    free: float = option(0.0, "anything")

    def __post_init__(self):
        super().__post_init__()
        if self.limit is not None and self.limit < self.layers:
            raise ValueError("shape.limit is below shape.layers")


@dataclass(frozen=True)
class Derived(Shape):
    layers: int = option(4, "more of them", at_least=3)
    depth: int = option(1, "another one", at_least=1)


CASES = [
    ({"layers": 0}, "shape.layers is 0, expected at least 1"),
    ({"share": 1.0}, "shape.share is 1.0, expected at least 0 and less than 1"),
    ({"share": -0.1}, "shape.share is -0.1, expected at least 0 and less than 1"),
    ({"temperature": 0.0}, "shape.temperature is 0.0, expected more than 0 and at most 2"),
    ({"temperature": 2.5}, "shape.temperature is 2.5, expected more than 0 and at most 2"),
    ({"kernel": 4}, "shape.kernel is 4, expected an odd number and at least 1"),
    ({"kernel": -1}, "shape.kernel is -1, expected an odd number and at least 1"),
    ({"speed": 0.25}, "shape.speed is 0.25, expected 0.5 to 2"),
    ({"kind": "flat"}, "shape.kind is 'flat', expected one of round, square"),
    ({"kind": None}, "shape.kind is None, expected one of round, square"),
    ({"kind": "x" * 999}, "shape.kind is 'x+, expected one of round, square"),
    ({"name": "mine"}, "shape.name is 'mine', expected one of '', paper"),
    ({"strides": (2, 1)}, r"shape.strides are \(2, 1\), expected one or more values, each at least 2"),
    ({"strides": ()}, r"shape.strides are \(\), expected one or more values, each at least 2"),
    ({"strides": (2, float("nan"))}, r"shape.strides are \(2, nan\), expected one or more .*, each a finite number"),
    ({"limit": 0}, "shape.limit is 0, expected at least 1 or none"),
    ({"layers": float("inf")}, "shape.layers is inf, expected a finite number"),
    ({"share": float("nan")}, "shape.share is nan, expected a finite number"),
    ({"limit": 1}, "shape.limit is below shape.layers"),
]


@pytest.mark.parametrize("values, message", CASES)
def test_a_value_is_refused_however_the_configuration_is_made(values, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Shape(**values)
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(Shape(), **values)


def test_values_at_the_bounds_are_allowed_and_others_without_any_are_free():
    ends = {"layers": 1, "share": 0, "temperature": 2.0, "kernel": 1, "speed": 2, "strides": (2,), "limit": 10**30}
    assert Shape(**ends, name="paper", free=float("inf")).limit == 10**30
    assert Shape(layers=3, limit=None) == Shape(layers=3)


def test_a_class_below_checks_what_it_adds_and_what_it_declares_anew():
    assert Derived().layers == 4
    for values, message in (({"layers": 2}, "layers is 2, expected at least 3"), ({"depth": 0}, "depth is 0, expected"),
                            ({"kernel": 2}, "kernel is 2, expected an odd"), ({"limit": 3}, "limit is below")):
        with pytest.raises(ValueError, match=f"shape.{message}"):
            Derived(**values)


def test_what_was_read_is_refused_with_its_file():
    with pytest.raises(ValueError, match="x.json: shape.layers is 0, expected at least 1"):
        make_record(Shape, {"layers": 0}, "x.json")
    with pytest.raises(ValueError, match="x.json: layers is True, expected a value of type int"):
        make_record(Shape, {"layers": True}, "x.json")


def test_the_help_tells_bounds():
    text = common.config_parser("It works.", {"shape": Shape}).format_help()
    assert "of what is left out (at least 0 and less than 1) (default: 0.5)" in " ".join(text.split())


def test_a_rule_that_there_is_not_is_found_where_it_is_declared():
    with pytest.raises(KeyError, match="at_lest"):
        option(1, "of the network", at_lest=1)
