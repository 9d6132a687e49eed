"""Values that an option does not allow are refused, in every configuration of every front."""

import importlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from unittest import mock

import pytest

from soundstorm.bin import common
from soundstorm.data.options import RULES, Config, option
from soundstorm.data.records import make_record
from soundstorm.data.variants import Variants
from soundstorm.models.tacotron2_config import FeatureSizes
from soundstorm.serving.speech_request import Wanted

FRONTS = Path(common.__file__).parent
NEEDED = {"TrainerConfig": {"batch_size": 1}, "Wanted": {"text": "red"}}  # to be made, beside the defaults
# Rule -> what breaks it, and the words for what is expected.
BROKEN = {
    "one_of": lambda words: ("neither", f"one of {words[0] or chr(39) * 2}"),
    "odd": lambda _: (4, "an odd number"),
    "even": lambda _: (3, "an even number"),
    "multiple_of": lambda factor: (factor + 1, f"a multiple of {factor}"),
    "within": lambda ends: (ends[1] + 1, f"{ends[0]} to {ends[1]}"),
    "at_least": lambda least: (least - 1, f"at least {least}"),
    "more_than": lambda bound: (bound, f"more than {bound}"),
    "at_most": lambda most: (most + 1, f"at most {most}"),
    "less_than": lambda bound: (bound, f"less than {bound}"),
}


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


def every_configuration():
    """Section and dataclass of all options of all fronts, and of what is read otherwise."""
    found = {"sizes": {FeatureSizes}, "": {Wanted}}

    def note(parser, name, cls):
        found.setdefault(name, set()).update(cls.classes.values() if isinstance(cls, Variants) else {cls})

    with mock.patch.object(common, "add_section", note):
        for path in sorted(FRONTS.glob("*.py")):
            if path.stem not in ("__init__", "common"):
                importlib.import_module(f"soundstorm.bin.{path.stem}").get_parser()
    del found["wavenet_training"]  # a TrainerConfig, as training is
    return sorted(((name, cls) for name, classes in found.items() for cls in classes), key=str)


CONFIGURATIONS = every_configuration()
DECLARED = [
    pytest.param(section and f"{section}.", cls, field, rule, id=f"{cls.__name__}-{field.name}-{rule}")
    for section, cls in CONFIGURATIONS
    for field in fields(cls)
    for rule in field.metadata.get("allowed", ())
]


def test_all_are_found():
    assert len(CONFIGURATIONS) >= 40 and len(DECLARED) >= 250 and RULES.keys() == BROKEN.keys()

    def below(cls):
        return {cls}.union(*map(below, cls.__subclasses__()))

    bases = {"Config", "CodecConfig", "TextEncoderConfig"}
    ours = {cls.__name__ for cls in below(Config) if cls.__module__.startswith("soundstorm.")}
    assert ours - bases <= {cls.__name__ for _, cls in CONFIGURATIONS}


@pytest.mark.parametrize("cls", dict.fromkeys(cls for _, cls in CONFIGURATIONS))
def test_defaults_are_allowed(cls):
    cls(**NEEDED.get(cls.__name__, {}))


@pytest.mark.parametrize("prefix, cls, field, rule", DECLARED)
def test_what_breaks_a_rule_is_refused_with_name_value_and_what_is_expected(prefix, cls, field, rule):
    several = isinstance(field.default, tuple)

    def refused(value):
        value = (value,) if several else value
        with pytest.raises(ValueError) as error:
            cls(**{**NEEDED.get(cls.__name__, {}), field.name: value})
        start = f"{prefix}{field.name} {'are' if several else 'is'} {value!r}, expected "
        assert str(error.value).startswith(start)
        return str(error.value).removeprefix(start)

    value, expected = BROKEN[rule](field.metadata["allowed"][rule])
    assert expected in refused(value)
    if rule != "one_of":
        assert "a finite number" in refused(float("nan")) and "a finite number" in refused(float("inf"))
