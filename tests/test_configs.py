"""Every configuration of every recipe is read by its front: names, types, the checks of the dataclasses."""

import importlib
from pathlib import Path

import pytest
import yaml

from soundstorm.bin import common

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted((ROOT / "egs").glob("*/conf/**/*.yaml"))
# First words of a configuration's name -> front, where the front's name is not the configuration's.
FRONTS = {
    "train_hubert": "pretrain_hubert",
    "train_token_recognizer": "train_recognizer",
    "decode": "synthesize",
}


def front_of(config: Path) -> str:
    """``train_codec_small.yaml`` -> ``train_codec``: the longest front whose name starts the file's name."""
    names = {path.stem: path.stem for path in (ROOT / "soundstorm" / "bin").glob("*.py")} | FRONTS
    fitting = [name for name in names if config.stem == name or config.stem.startswith(f"{name}_")]
    assert fitting, f"{config}: named after no front"
    return names[max(fitting, key=len)]


def test_there_are_configurations_to_look_at():
    assert len(CONFIGS) >= 10
    assert {path.relative_to(ROOT).parts[1] for path in CONFIGS} >= {"TEMPLATE", "mini"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.relative_to(ROOT / "egs").as_posix())
def test_a_configuration_is_read_by_its_front(config, monkeypatch):
    front = importlib.import_module(f"soundstorm.bin.{front_of(config)}")
    sections, original = {}, common.config_parser

    def remembering(description, given):
        sections.update(given)
        return original(description, given)

    for module in (common, front):  # the front's own, or that behind a parser that fronts share
        monkeypatch.setattr(module, "config_parser", remembering, raising=False)
    parser = front.get_parser()
    for action in parser._actions:
        action.required = False
    args = parser.parse_args(["--config", str(config)])
    for name, cls in sections.items():
        common.section(args, name, cls)
    unknown = set(yaml.safe_load(config.read_text(encoding="utf-8")) or {}) - set(sections)
    assert not unknown, f"{config}: no dataclass of the front reads {unknown}"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.relative_to(ROOT / "egs").as_posix())
def test_a_configuration_opens_with_what_it_is_for(config):
    assert config.read_text(encoding="utf-8").startswith("# ")
