"""Time to quality on toy tokens: do the sides see the same, and does the table say what was measured?"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenizerInfo, write_tokens
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig
from soundstorm.training.training_config import TrainerConfig

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import quality  # noqa: E402
from learner import Peer  # noqa: E402
from sizes import PEER, Sizes  # noqa: E402


@pytest.fixture
def tokens(tmp_path):
    rng, common = np.random.default_rng(0), {"fingerprint": "", "frame_rate": 50.0, "sample_rate": 16000}
    lengths = {f"u{i}": int(rng.integers(60, 120)) for i in range(6)}
    semantic = TokenizerInfo("semantic", "toy", num_levels=1, codebook_size=10, **common)
    acoustic = TokenizerInfo("acoustic", "toy", num_levels=3, codebook_size=16, **common)
    write_tokens(tmp_path / "semantic", ((u, rng.integers(10, size=n)) for u, n in lengths.items()), semantic)
    write_tokens(tmp_path / "acoustic", ((u, rng.integers(16, size=(n, 3))) for u, n in lengths.items()), acoustic)
    return AlignedTokens.from_data_dir(tmp_path, WindowConfig(0.5, 2.0))


def batches(tokens, masking):
    return list(quality.masked_batches(tokens, masking, TrainerConfig(batch_seconds=4.0), 7))


def test_windows_are_the_same_whatever_the_masks(tokens):
    paper, recipe = batches(tokens, MaskingConfig()), batches(tokens, MaskingConfig(unprompted=0.5, grid=0.5))
    assert len(paper) == len(recipe) == 7
    for mine, other in zip(paper, recipe):
        for name in ("semantic", "codes", "lengths"):
            assert torch.equal(mine[name], other[name])
    assert any(not torch.equal(mine["hidden"], other["hidden"]) for mine, other in zip(paper, recipe))


def test_the_papers_masks_hide_what_is_predicted_and_all_finer_levels(tokens):
    for batch in batches(tokens, MaskingConfig()):
        rows = zip(batch["level"], batch["prompt_end"], batch["lengths"], batch["hidden"], batch["target"])
        for level, prompt, length, hidden, target in rows:
            assert target.any() and not target[:, torch.arange(3) != level].any()
            assert torch.equal(hidden[:, level][:length], target[:, level][:length])
            assert hidden[prompt:length, level + 1 :].all() and not hidden[:prompt].any()
            assert not hidden[:, :level].any()
        assert (batch["weights"] == 1).all()


@pytest.mark.skipif(not find_spec("soundstorm_pytorch"), reason="the peer is not installed, see README.md")
def test_the_peer_learns_by_any_masks_and_decodes_codes(tokens):
    sizes = Sizes(width=32, layers=1, heads=2, inner=64, levels=3, codebook=16, semantic=10)
    for masks in ("own", "paper"):
        side = Peer({"sizes": vars(sizes), "style": "plain", "masks": masks})
        for batch in batches(tokens, MaskingConfig()):
            batch |= {name: batch[name].long() for name in ("semantic", "codes")}
            loss = side.loss(batch)
            assert loss.isfinite() and loss > 1
        codes = side.decode(batch["semantic"][0], 4, 0)
        assert codes.shape == (len(batch["semantic"][0]), 3) and 0 <= codes.min() and codes.max() < 16


def test_rows_are_beside_the_peers_first():
    sides = [quality.Side(name, None, [], {"steps": 9, "seconds": 30.0}) for name in ("soundstorm", PEER)]
    ours, theirs = quality.Row(sides[0], 4, [1.0, 2.0]), quality.Row(sides[1], 16, [3.0, 8.0])
    ours.errors = {"u0": (100.0, 4.0), "u1": (100.0, 4.0)}
    theirs.errors = {"u0": (200.0, 4.0), "u1": (200.0, 4.0)}
    _, _, first, second = quality.render([ours, theirs]).splitlines()
    assert first == "| soundstorm, 4 | 9 | 30 | 25.0 [25.0, 25.0] | -25.0 [-25.0, -25.0] | 1.500 | 3.50 |"
    assert second == "| soundstorm-pytorch, 16 | 9 | 30 | 50.0 [50.0, 50.0] |  | 5.500 | 1.00 |"
