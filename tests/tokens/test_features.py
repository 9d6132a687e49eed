"""The registry of features: a family is added as CONTRIBUTING says, by a class and one line."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from soundstorm.bin import extract_semantic_tokens, train_kmeans
from soundstorm.data.archive import TokenArchive
from soundstorm.tokens import features as registry
from soundstorm.tokens.features import FAMILIES, open_features
from soundstorm.tokens.semantic import SemanticTokenizer

HOP = 400
CONTRIBUTING = Path(__file__).parents[2] / ".github/CONTRIBUTING.md"


class EnergyFeatures:
    """A toy family: the loudness of quarters of a hop; the name is a number that it is multiplied by."""

    def __init__(self, source, layer, *, device="cpu", local_only=False):
        if layer not in (0, 1):
            raise ValueError(
                f"layer {layer} of {source} was asked for, but it has layers 0 to 1"
            )
        self.source, self.layer, self.factor, self.device = source, layer, float(source), device
        self.sample_rate, self.frame_rate = 16000, 16000 / HOP
        self.fingerprint = hashlib.sha256(f"energy {self.factor} {layer}".encode()).hexdigest()

    def extract(self, wavs):
        assert not torch.backends.cudnn.allow_tf32
        quarters = [wav[: len(wav) // HOP * HOP].reshape(-1, 4, HOP // 4) for wav in wavs]
        return [np.log(1e-3 + self.factor * np.abs(part).mean(2)).astype(np.float32) for part in quarters]


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(FAMILIES, "energy:", f"{__name__}:EnergyFeatures")  # the one line


def test_a_family_of_one_class_and_one_line_goes_through_the_stage(toy, tmp_path, data_dir):
    data, kmeans, tokens = str(data_dir), str(tmp_path / "kmeans"), str(tmp_path / "semantic")
    train_kmeans.main(
        [
            "--data-dir",
            data,
            "--features",
            "energy:2.5",
            "--layer",
            "1",
            "--clusters",
            "3",
            "--output",
            kmeans,
        ]
    )
    extract_semantic_tokens.main(["--data-dir", data, "--kmeans", kmeans, "--output", tokens])
    archive = TokenArchive(f"{tokens}.scp")
    assert archive.info.name == "energy:2.5 layer 1, 3 clusters" and archive.info.frame_rate == 40
    assert len(archive.ids) == 6
    assert SemanticTokenizer.load(kmeans).features.factor == 2.5
    with pytest.raises(ValueError, match="layer 2 of 2.5 was asked for, but it has layers 0 to 1"):
        open_features("energy:2.5", 2)


def test_contributing_says_where_such_a_line_stands():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    section = text.split("## Add a self-supervised model\n")[1].split("\n## ")[0]
    for name in ("FAMILIES", "MODEL_TYPES", "sees_padding", "tests/tokens/test_features.py"):
        assert name in section
    for line in section.splitlines():
        for word in line.split("`"):
            if word.endswith(".py"):
                assert (CONTRIBUTING.parents[1] / word).is_file(), word
    assert all(name in registry.CHOICES for name in FAMILIES)
