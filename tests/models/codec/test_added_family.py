"""The codec family of CONTRIBUTING.md is added as written there, trained, and encodes."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from soundstorm.bin import train_codec
from soundstorm.data.audio import write_audio
from soundstorm.models.codec.families import CODEC_FAMILIES
from soundstorm.tokens.acoustic import load_acoustic_tokenizer

TEXT = (Path(__file__).resolve().parents[3] / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE = re.compile(r"```python\n# (soundstorm/models/codec/\w+)\.py\n(.*?)```", re.DOTALL)


@pytest.fixture
def family(monkeypatch):
    """Its modules and its line in the registry."""
    for path, source in FILE.findall(TEXT):
        module = types.ModuleType(path.replace("/", "."))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(source, path, "exec"), vars(module))
    (kind, name), = re.findall(r"line in `families.py` is `\"(\w+)\": (\w+),`", TEXT)
    config = getattr(sys.modules[f"soundstorm.models.codec.{kind}_config"], name)
    monkeypatch.setitem(CODEC_FAMILIES.classes, kind, config)
    return kind


@pytest.fixture
def data_dir(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        write_audio(folder / f"{number}.wav", 0.1 * rng.standard_normal(4000).astype(np.float32), 16000)
    (folder / "wav.scp").write_text("".join(f"{number} {folder}/{number}.wav\n" for number in range(3)))
    return folder


def test_a_family_is_its_files_and_a_line(family, data_dir, tmp_path):
    expdir, config = tmp_path / "codec", tmp_path / "codec.yaml"
    config.write_text(
        f"model: {{family: {family}, frame_samples: 80, num_levels: 2, codebook_size: 8}}\n"
        "loss: {mel_windows: [64], wave_discriminators: 0, stft_discriminator: false}\n"
        "training: {max_steps: 2, batch_size: 2, save_every: 2, warmup_steps: 0}\n"
    )
    places = ["--train-data", str(data_dir), "--valid-data", str(data_dir), "--expdir", str(expdir)]
    train_codec.main(["--config", str(config), *places, "--data.crop_seconds", "0.2", "--model.latent-dim", "4"])
    tokenizer = load_acoustic_tokenizer(str(expdir))
    codes = tokenizer.encode(torch.zeros(1, 810))
    assert codes.shape == (1, 11, 2) and tokenizer.decode(codes).shape == (1, 880)
    assert tokenizer.info.name == "linear codec" and tokenizer.info.frame_rate == 200

    with pytest.raises(ValueError, match=f"model.width is a setting of family istft, but model.family is {family}"):
        train_codec.main(["--config", str(config), *places, "--model.width", "4"])
