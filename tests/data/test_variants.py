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


def test_settings_say_their_kind_and_the_first_one_is_the_default():
    assert SHAPES.default == "round" and SHAPES.of_settings({"colour": "blue"}, "x") == Round
    assert SHAPES.of_settings({"shape": "square", "side": 3}, "x") == Square


@pytest.mark.parametrize("kind", ["oval", None, ["round"]])
def test_an_unknown_kind_is_refused(kind):
    with pytest.raises(ValueError, match="x.shape is .*, expected one of round, square"):
        SHAPES.of_settings({"shape": kind}, "x")


def test_a_field_that_was_given_for_another_kind_is_refused():
    SHAPES.refuse_foreign("square", {"side", "colour"}, "x")
    with pytest.raises(ValueError, match="x.radius is a setting of shape round, but x.shape is square; leave it"):
        SHAPES.refuse_foreign("square", {"radius"}, "x")
