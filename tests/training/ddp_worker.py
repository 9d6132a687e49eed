"""One rank of the two-process tests: trains SoundStorm on stored random tokens. Run by test_distributed.py."""

import sys
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.training.soundstorm_step import SoundStormStep
from soundstorm.training.trainer import train
from soundstorm.training.training_config import TrainerConfig

SEMANTIC = TokenizerInfo("semantic", "s", "f" * 64, 50.0, 1, 7, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "e" * 64, 50.0, 3, 11, 16000)


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    frames = {f"u{i:02d}": int(rng.integers(20, 90)) for i in range(14)}
    write_tokens(folder / "semantic", ((u, rng.integers(0, 7, n)) for u, n in frames.items()), SEMANTIC)
    write_tokens(folder / "acoustic", ((u, rng.integers(0, 11, (n, 3))) for u, n in frames.items()), ACOUSTIC)


def read_data(folder: Path) -> MaskedTokens:
    archives = (TokenArchive(folder / f"{kind}.scp") for kind in ("semantic", "acoustic"))
    return MaskedTokens(AlignedTokens(*archives, WindowConfig(0.2, 2.0)), MaskingConfig())


def run(data: Path, expdir: Path, *, stop_after: int | None = None, **changes) -> None:
    torch.manual_seed(0)
    config = SoundStormConfig(layers=1, width=16, heads=2, inner=32, kernel=3, dropout=0.0)
    tokens = read_data(data)
    settings = {"max_steps": 6, "batch_size": 5, "warmup_steps": 0, "log_every": 1, "valid_every": 6, "save_every": 3}
    expdir.mkdir(parents=True, exist_ok=True)
    model = SoundStorm(config, num_levels=3, codebook_size=11, semantic_size=7)
    for parameter in model.parameters():  # a fresh model has zeros in front of every branch, and so no gradient there
        torch.nn.init.normal_(parameter, std=0.3)
    trainer = TrainerConfig(**{**settings, **changes})
    train(SoundStormStep(model), tokens, tokens, trainer, expdir, stop_after=stop_after)


def check_other_models() -> None:
    """The gradients of models with other ways through their blocks, with shared weights and without."""
    from torch.distributed import get_rank, is_initialized

    from soundstorm.models.audiolm import AudioLM, Columns
    from soundstorm.models.audiolm_config import AudioLMConfig
    from soundstorm.models.text_to_semantic import build_text_to_semantic
    from soundstorm.models.text_to_semantic_config import TextToSemanticConfig
    from soundstorm.training.layout import full_tensor, local_shard, recompute_activations, shard

    if not is_initialized():
        return
    sizes = {"layers": 2, "dim": 16, "heads": 2, "ffn_dim": 32}
    sizes = {f"{half}_{name}": value for half in ("encoder", "decoder") for name, value in sizes.items()}
    ids, lengths = torch.arange(12).view(2, 6), torch.tensor([6, 6])
    places = torch.arange(6).expand(2, 6)
    columns = Columns(ids, places, places + 1, torch.zeros(2, 6, dtype=torch.bool))

    def text_to_semantic() -> torch.nn.Module:
        return build_text_to_semantic(TextToSemanticConfig(**sizes, head_dim=8), text_vocab_size=20, num_tokens=20)

    def audiolm() -> torch.nn.Module:
        config = AudioLMConfig(layers=2, width=16, heads=2, head_dim=8, inner=32)
        return AudioLM(config, condition_size=10, num_levels=2, level_size=5)

    calls = {
        text_to_semantic: lambda model: model(ids, lengths, ids, ids, lengths).logits.square().sum(),
        audiolm: lambda model: sum(logits.square().sum() for logits in model(columns, places % 2)),
    }
    for build, loss_of in calls.items():
        gradients = []
        for shared in (False, True):
            torch.manual_seed(3)
            model = build().train(False)
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
            if shared:
                recompute_activations(model)
                shard(model, torch.device("cpu"))
                assert any(local_shard(p).numel() < p.numel() for p in model.parameters())
            loss_of(model).backward()
            gradients.append({name: full_tensor(p.grad) for name, p in model.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys() and gradients[0]
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-5, msg=lambda t, n=name: n + t)
    print(f"rank {get_rank()}: other models agree")


def main(data: Path, expdir: Path) -> None:
    """Several steps, a single one whose gradient AdamW keeps as it is, accumulated ones, and shared weights."""
    torch.set_num_threads(1)
    run(data, expdir / "steps")
    run(data, expdir / "gradient", max_steps=1, clip_norm=0.0, valid_every=1)
    run(data, expdir / "accumulated", gradient_accumulation=2, batch_size=3, max_steps=3, valid_every=3)
    sharded = {"sharding": "full", "activation_checkpointing": True}
    run(data, expdir / "sharded", **sharded)
    for stop_after in (4, None):
        run(data, expdir / "sharded_resumed", **sharded, stop_after=stop_after)
    check_other_models()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
