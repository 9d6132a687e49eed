"""soundstorm-pytorch 0.6.1 at work. Runs in an environment of its own, see README.md.

The package imports three more that train codecs and HuBERTs. Nothing of them is used here, and some do not install
any more, so empty modules stand in for them: whatever is asked of such a module is an empty class.
"""

from __future__ import annotations

import sys
import types

import torch
from sizes import Work

UNUSED = ("audiolm_pytorch", "audiolm_pytorch.data", "audiolm_pytorch.optimizer", "spear_tts_pytorch", "accelerate")


class _Empty(types.ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def make(work: Work):
    """The peer's SoundStorm, with random weights."""
    for name in UNUSED:
        sys.modules.setdefault(name, _Empty(name))
    from soundstorm_pytorch.soundstorm import ConformerWrapper, SoundStorm

    sizes, default = work.sizes, work.style == "default"
    torch.manual_seed(0)
    network = ConformerWrapper(
        codebook_size=sizes.codebook,
        num_quantizers=sizes.levels,
        conformer={
            "dim": sizes.width,
            "depth": sizes.layers,
            "heads": sizes.heads,
            "dim_head": sizes.width // sizes.heads,
            "ff_mult": sizes.inner // sizes.width,
            "conv_kernel_size": sizes.kernel,
            "conv_expansion_factor": work.expansion,
            "num_residual_streams": 4 if default else 1,
        },
    )
    return SoundStorm(
        network,
        steps=sizes.iterations,
        schedule="cosine",
        num_semantic_token_ids=sizes.semantic,
        # Semantic and acoustic tokens have one rate. Of the true 320 / 16000 it makes 461 frames of the one for 460 of
        # the other, by rounding.
        wav2vec_target_sample_hz=1,
        wav2vec_downsample_factor=1,
        codec_target_sample_hz=1,
        codec_downsample_factor=1,
    )


def build(work: Work):
    """Function to time, network whose forward calls are passes, and parameters."""
    model, sizes = make(work), work.sizes
    semantic = torch.randint(sizes.semantic, (work.batch, work.frames))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=work.precision == "bf16")
    if work.part == "decode":

        def run() -> None:
            with autocast:
                model.generate(cond_semantic_token_ids=semantic, num_full_sampling_levels=1)

        return run, model.net, sum(p.numel() for p in model.parameters())
    if work.part != "train":
        raise ValueError(f"part is {work.part!r}, expected train or decode: the peer has nothing else")
    codes = torch.randint(sizes.codebook, (work.batch, work.frames, sizes.levels))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with autocast:
            loss, _ = model(codes.clone(), cond_semantic_token_ids=semantic)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step, model.net, sum(p.numel() for p in model.parameters())
