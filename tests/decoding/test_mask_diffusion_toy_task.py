"""What mask diffusion generates obeys the toy task's rule at every level as well as the data do."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from soundstorm.bin.common import section
from soundstorm.bin.synthesize import get_parser
from soundstorm.decoding.mask_diffusion_kind import MaskDiffusionSamplingConfig
from soundstorm.decoding.mask_diffusion_sampler import decode
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.models.mask_diffusion_config import DiffusionConfig, MaskDiffusionConfig
from soundstorm.training.mask_diffusion_step import MaskDiffusionStep
from tests.decoding.test_toy_task import AGREEMENT, FRAMES, LEVELS, SIZE, agreement, make_data

pytestmark = pytest.mark.integration
STEPS = 600
SYSTEMS = [f"mask_diffusion{suffix}" for suffix in ("", "_posterior", "_51", "_26", "_11")]
ENGINE = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/models/mask_diffusion.sh"


def systems() -> dict[str, MaskDiffusionSamplingConfig]:
    """Every way in which the engine decodes, by the name of its system."""
    script = 'declare -A variant_options; . "$1"; for name in "${!variant_options[@]}"; do '
    script += 'echo "${name} ${variant_options[${name}]}"; done'
    done = subprocess.run(["bash", "-euc", script, "bash", ENGINE], check=True, capture_output=True, text=True)
    found = {}
    for line in ["mask_diffusion", *done.stdout.splitlines()]:
        name, *options = line.split()
        args = get_parser().parse_args(["--data-dir", "data", "--output", "speech", *options])
        found[name] = section(args, "mask_diffusion", MaskDiffusionSamplingConfig)
    return found


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = MaskDiffusionConfig(layers=2, width=64, heads=2, inner=128, conditioning="sum")
    vocabulary = {"num_levels": LEVELS, "codebook_size": SIZE, "semantic_size": SIZE}
    model = MaskDiffusion(config, DiffusionConfig(), **vocabulary)
    step = MaskDiffusionStep(model, 5e-4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for count in range(STEPS):
        semantic, codes = make_data(32, rng)
        batch = {
            "semantic": torch.tensor(semantic),
            "codes": torch.tensor(codes),
            "lengths": torch.full((32,), FRAMES),
            "prompt_end": torch.tensor(rng.integers(FRAMES, size=32) * (rng.random(32) > 0.3)),
            "time": torch.tensor(rng.random(32)),
            "noise": torch.tensor(rng.random(codes.shape)),
        }
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - count / STEPS)
        loss = step.loss("model", step.networks, batch)
        (loss.total / loss.weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step.after_step(count)
    return model.eval()


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_generated_obeys_the_rule_as_well_as_the_data(trained, system):
    configs, (semantic, codes) = systems(), make_data(64, np.random.default_rng(3))
    assert set(configs) == set(SYSTEMS)
    generated = decode(
        trained, torch.tensor(semantic), torch.full((64,), FRAMES), configs[system],
        seeds=list(range(64)), prompt=torch.tensor(codes[:, :8]), prompt_lengths=torch.full((64,), 8),
    )  # fmt: skip
    for level, found in enumerate(agreement(semantic, generated.numpy(), 8)):
        assert found > AGREEMENT[level] - 0.04, f"level {level}: {found} below the data's {AGREEMENT[level]}"
