"""The registry of semantic generators."""

import pytest
import yaml

from soundstorm.decoding.autoregressive import TextToSemanticGenerator
from soundstorm.decoding.decoding_config import TextSamplingConfig
from soundstorm.decoding.semantic_generator import (
    MODULES,
    find_text_kind,
    text_kind_named,
    text_sampling_of,
    text_sampling_sections,
)
from tests.decoding.test_autoregressive import make


def test_every_kind_has_sampling_options_of_its_own():
    kinds = [text_kind_named(name) for name in MODULES]
    assert len({kind.section for kind in kinds}) == len({kind.suffix for kind in kinds}) == len(kinds)
    assert all(text_sampling_sections()[kind.section] is kind.sampling for kind in kinds)
    samplings = {name: cls() for name, cls in text_sampling_sections().items()}
    for name, kind in zip(MODULES, kinds, strict=True):
        assert isinstance(text_sampling_of(name, samplings), kind.sampling)
        assert kind.cut(kind.sampling(), 2.5).max_seconds == 2.5


@pytest.mark.parametrize(
    "config, kind", [({"model": {}}, "autoregressive"), ({"kind": "masked", "model": {}}, "masked")]
)
def test_the_experiment_says_its_kind_and_older_ones_are_autoregressive(tmp_path, config, kind):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert find_text_kind(tmp_path) == kind


def test_experiments_of_other_kinds_are_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("kind: soundstorm\n")
    with pytest.raises(ValueError, match="kind is 'soundstorm', expected one of autoregressive, masked"):
        find_text_kind(tmp_path)


def test_an_autoregressive_model_cannot_meet_a_duration():
    reader: TextToSemanticGenerator = make(True)
    with pytest.raises(ValueError, match="a given duration cannot be met by an autoregressive"):
        reader.semantic_tokens(["abc"], TextSamplingConfig(), seeds=[0], frames=[10])
