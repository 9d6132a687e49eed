"""Settings of several kinds: what belongs to which, and what is said of what does not."""

from dataclasses import dataclass

import pytest

from soundstorm.data.variants import Variants


@dataclass(frozen=True)
class Round:
    shape: str = "round"
    colour: str = "red"
    radius: int = 1


@dataclass(frozen=True)
class Square:
    shape: str = "square"
    colour: str = "red"
    side: int = 2


SHAPES = Variants("shape", {"round": Round, "square": Square})


def test_the_first_kind_is_the_default():
    assert SHAPES.default == "round" and SHAPES.read({"colour": "blue"}, "x") == (Round, {"colour": "blue"})


def test_fields_of_other_kinds_are_passed_over_in_what_was_read():
    assert SHAPES.read({"shape": "square", "side": 3, "radius": 1}, "x") == (Square, {"shape": "square", "side": 3})
    assert SHAPES.foreign("round") == {"side"}


@pytest.mark.parametrize("kind", ["oval", None, ["round"]])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(ValueError, match="x.shape is .*, expected one of round, square"):
        SHAPES.read({"shape": kind}, "x")


def test_a_field_that_was_given_for_another_kind_is_refused():
    SHAPES.refuse_foreign("square", {"side", "colour"}, "x")
    with pytest.raises(ValueError, match="x.radius is a setting of shape round, but x.shape is square; leave it"):
        SHAPES.refuse_foreign("square", {"radius"}, "x")
