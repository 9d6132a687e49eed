"""The registry of acoustic generators: which kind an experiment is of, and where its parts are."""

import json

import pytest
import yaml

from soundstorm.decoding.acoustic_generator import (
    MODULES,
    find_generator,
    kind_named,
    part_names,
    sampling_sections,
    stage_place,
)
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.decoding_system import System


def experiment(path, **sections):
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(sections))
    return path


def make_pack(path, *parts):
    for part in parts:
        experiment(path / part, kind=part.split("_")[0])
    (path / "pack.json").write_text(json.dumps({"format": "soundstorm-pack-1", "parts": {p: p for p in parts}}))
    return path


def test_every_kind_has_a_title_of_its_own_and_shares_options_of_the_same_class_only():
    kinds = [kind_named(name) for name in MODULES]
    assert len({kind.title for kind in kinds}) == len(kinds)
    assert all(sampling_sections()[kind.section] is kind.sampling and kind.sampling() for kind in kinds)


def test_an_experiment_says_its_kind(tmp_path):
    assert find_generator(experiment(tmp_path / "one", kind="soundstorm")) == ("soundstorm", str(tmp_path / "one"))
    with pytest.raises(ValueError, match="two/config.yaml: kind is 'codec', expected one of soundstorm, audiolm"):
        find_generator(experiment(tmp_path / "two", kind="codec"))
    with pytest.raises(ValueError, match="kind is None.*experiment of another kind"):
        find_generator(experiment(tmp_path / "three", model={}))
    with pytest.raises(FileNotFoundError, match="nowhere/config.yaml: no such file"):
        find_generator(tmp_path / "nowhere")


def test_stages_are_in_the_experiment_of_the_model_or_beside_it(tmp_path):
    for stage in ("coarse", "fine"):
        experiment(tmp_path / f"audiolm_{stage}", audiolm={"stage": stage})
    assert find_generator(tmp_path / "audiolm") == ("audiolm", str(tmp_path / "audiolm"))
    assert stage_place(tmp_path / "audiolm", "audiolm", "fine") == str(tmp_path / "audiolm_fine")
    experiment(tmp_path / "audiolm/fine", kind="audiolm")  # one inside comes first
    assert stage_place(tmp_path / "audiolm", "audiolm", "fine") == str(tmp_path / "audiolm/fine")


def test_of_a_pack_with_several_one_is_named(tmp_path):
    single = make_pack(tmp_path / "single", "audiolm_coarse", "audiolm_fine")
    assert find_generator(single) == ("audiolm", str(single))
    assert stage_place(single, "audiolm", "coarse") == str(single / "audiolm_coarse")
    several = make_pack(tmp_path / "several", "soundstorm", "audiolm_coarse", "audiolm_fine")
    with pytest.raises(ValueError, match=f"name it as one of soundstorm:{several}, audiolm:{several}"):
        find_generator(several)
    assert find_generator(f"audiolm:{several}") == ("audiolm", str(several))
    with pytest.raises(ValueError, match="this pack has codec, expected one acoustic generator"):
        find_generator(make_pack(tmp_path / "none", "codec"))


def test_a_kind_that_is_none_is_named():
    with pytest.raises(ValueError, match="'os' is no kind of acoustic generator; there are soundstorm, audiolm"):
        kind_named("os")


def test_options_that_make_another_system_have_another_title():
    kind = kind_named("soundstorm")
    assert kind.system_title(ParallelConfig()) == "SoundStorm"
    assert kind.system_title(ParallelConfig(iterations=(1,))) == "Level-wise greedy"
    system = System("semantic", "codec", "exp/soundstorm_unet", variant="unet", prompt_seconds=3.0, kmeans="exp/kmeans")
    assert system.title("soundstorm") == "SoundStorm, unet (3 s prompt)"
    assert part_names("soundstorm") == ["soundstorm"]
    assert part_names("audiolm") == ["audiolm_semantic", "audiolm_coarse", "audiolm_fine"]
