"""Memory and time of training the paper's models, ESTIMATED from counts; nothing is trained and no GPU is needed.

    python tests/benchmarks/paper_sizes.py --gpu-tflops 312 --utilisation 0.4 --output paper_sizes.json

What is counted: parameters; the bytes that the forward pass keeps for the backward pass, by running it on meta tensors,
which have shapes and no numbers; the operations of matrix products, convolutions and attention of a whole step. What is
assumed: the GPU's rate, what share of it training reaches, fp32 weights with AdamW and an average of weights, and that
what is kept takes between 2 bytes a number (bf16) and 4 (fp32). Not counted: buffers of libraries, fragmentation, the
kernels' own workspace, communication. Real runs need more memory and, if they wait for data, more time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from soundstorm.models.audiolm import AudioLM, Columns  # noqa: E402
from soundstorm.models.audiolm_config import AudioLMConfig  # noqa: E402
from soundstorm.models.soundstorm import SoundStorm  # noqa: E402
from soundstorm.models.soundstorm_config import SoundStormConfig  # noqa: E402
from soundstorm.models.text_to_semantic import T5Encoder, TextToSemantic  # noqa: E402
from soundstorm.training.layout import find_blocks, recompute_activations  # noqa: E402

GIB = 2**30
LEVELS, CODES, FRAME_RATE = 12, 1024, 50


@dataclass(frozen=True)
class Model:
    """One of the paper's trainings."""

    title: str
    build: Callable[[], nn.Module]
    run: Callable[[nn.Module, int], Tensor]  # on so many examples, to something to differentiate
    seconds: float  # of audio in an example
    hours: float  # of audio in an epoch
    epochs: float | None  # None where the paper gives steps
    steps: int | None
    batch_seconds: float  # of audio in a step, on all GPUs
    share: float = 1.0  # of an epoch's audio that windows are cut from, which they hold


def soundstorm_loss(model: nn.Module, examples: int, frames: int = 1500) -> Tensor:
    """Windows of 30 s, a third of them predicted: half of the frames lie after the prompt, 2/pi of these are masked."""
    device = next(model.parameters()).device
    tokens = torch.zeros(examples, frames, dtype=torch.long, device=device)
    codes = torch.zeros(examples, frames, model.num_levels, dtype=torch.long, device=device)
    features = model.encode(tokens, codes, codes.bool())
    wanted = features.flatten(0, 1)[: round(examples * frames / 3.14159)]
    return _cross_entropy(model.level_logits(wanted, 0))


def audiolm_loss(model: nn.Module, examples: int, length: int = 2500) -> Tensor:
    """The coarse stage: 10 s are 500 semantic tokens and four coarse levels of 500 frames."""
    device = next(model.parameters()).device
    numbers = torch.zeros(examples, length, dtype=torch.long, device=device)
    columns = Columns(numbers, times=numbers, due=numbers, condition=numbers.bool())
    return _cross_entropy(model.head(model.encode(columns)))


def text_loss(model: nn.Module, examples: int, letters: int = 450, frames: int = 750) -> Tensor:
    """30 s of dialogue: 15 letters and 25 semantic tokens a second."""
    device = next(model.parameters()).device
    text = torch.zeros(examples, letters, dtype=torch.long, device=device)
    tokens = torch.zeros(examples, frames, dtype=torch.long, device=device)
    lengths = torch.full((examples,), letters, device=device)
    return _cross_entropy(model(text, lengths, tokens, tokens, lengths).logits)


def _cross_entropy(logits: Tensor) -> Tensor:
    logits = logits.flatten(0, -2).float()
    return nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


class UnpaddedEncoder(T5Encoder):
    """Transformers looks into the numbers of a mask, which meta tensors have not."""

    def forward(self, text: Tensor, exists: Tensor) -> Tensor:
        """As without padding; frozen."""
        with torch.no_grad():
            return self.network(input_ids=text).last_hidden_state


def _soundstorm(semantic: int) -> SoundStorm:
    return SoundStorm(SoundStormConfig(), num_levels=LEVELS, codebook_size=CODES, semantic_size=semantic)


def _byt5_large() -> TextToSemantic:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=384, d_model=1536, d_kv=64, d_ff=3840, num_layers=36, num_heads=16,
                      feed_forward_proj="gated-gelu")  # fmt: skip
    return TextToSemantic(UnpaddedEncoder(T5EncoderModel(config), frozen=True), 4096, layers=12, dim=1536, heads=16,
                          head_dim=64, ffn_dim=3840, dropout=0.1)  # fmt: skip


WINDOWS = 15.5 / 30  # of 1 to 30 s
MODELS = {
    "soundstorm": Model(
        "SoundStorm, LibriLight", lambda: _soundstorm(1024), soundstorm_loss, 30.0, 60000, 10, None, 4800, WINDOWS
    ),
    "soundstorm_dialogue": Model(
        "SoundStorm, dialogue", lambda: _soundstorm(4096), soundstorm_loss, 30.0, 100000, 10, None, 4800, WINDOWS
    ),
    "audiolm_coarse": Model(
        "AudioLM, coarse stage",
        lambda: AudioLM(AudioLMConfig(), condition_size=1024, num_levels=4, level_size=CODES, ends=True),
        audiolm_loss, 10.0, 60000, None, 1_000_000, 2560,
    ),
    "text_to_semantic": Model(
        "Text to semantic, dialogue (ByT5-large frozen)", _byt5_large, text_loss, 30.0, 100000, 10, None, 4800
    ),
}  # fmt: skip


def kept_bytes(model: nn.Module, run: Callable[[nn.Module, int], Tensor], examples: int) -> int:
    """What a forward pass keeps for its gradient, weights left out, everything counted once."""
    seen: dict[int, int] = {}
    weights = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            seen[storage._cdata] = storage.nbytes()
            alive.append(tensor)  # else its place may be given to another one, which would not be counted
        return tensor

    alive: list[Tensor] = []
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        run(model, examples)
    return sum(seen.values())


def step_operations(model: nn.Module, run: Callable[[nn.Module, int], Tensor], examples: int) -> int:
    """Operations of a forward and a backward pass."""
    with FlopCounterMode(display=False) as counter:
        run(model, examples).backward()
    return counter.get_total_flops()


def estimate(model: Model, *, gpus: int, tflops: float, utilisation: float) -> dict:
    """All figures of one training."""
    kept = {}
    for name, dtype, again in (
        ("fp32", torch.float32, False), ("bf16", torch.bfloat16, False), ("bf16_recomputed", torch.bfloat16, True)
    ):  # fmt: skip
        with torch.device("meta"):
            network = model.build().to(dtype).train()
        kept[name] = kept_bytes(network, model.run, 2) / 2
        if again:
            # while a block is computed again, what it keeps is there too
            plain, blocks = kept["bf16"], len(find_blocks(network)) or 1
            recompute_activations(network)
            kept[name] = kept_bytes(network, model.run, 2) / 2 + plain / blocks
    with torch.device("meta"):
        network = model.build().train()
    parameters = sum(p.numel() for p in network.parameters())
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    operations = step_operations(network, model.run, 1)
    # weights and their average, gradients, two moments of AdamW; all fp32
    state = 4 * (2 * parameters + 3 * trained)
    steps = model.steps or round(model.hours * 3600 * model.share * model.epochs / model.batch_seconds)
    examples = model.batch_seconds / model.seconds
    rate = tflops * 1e12 * utilisation
    return {
        "title": model.title,
        "estimated": True,
        "parameters": parameters,
        "trained_parameters": trained,
        "state_bytes": state,
        "state_bytes_shared_by_all_gpus": state / gpus,
        "kept_bytes_per_example": kept,
        "example_seconds": model.seconds,
        "operations_per_example": operations,
        "step_seconds": operations * examples / (rate * gpus),
        "steps": steps,
        "days": operations * examples * steps / (rate * gpus) / 86400,
    }


def table(results: dict, gpus: int) -> str:
    """For people."""
    lines = [
        f"Estimates, not measurements. GiB; examples of the length given; {gpus} GPUs.",
        "",
        "| training | parameters, M (trained) | weights, optimizer, average | the same with FSDP, each GPU | "
        "kept per example, bf16 to fp32 | with activation checkpointing, bf16 | step, s | steps | days |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in results.values():
        kept = {name: value / GIB for name, value in one["kept_bytes_per_example"].items()}
        lines.append(
            f"| {one['title']} ({one['example_seconds']:g} s) | {one['parameters'] / 1e6:.1f} "
            f"({one['trained_parameters'] / 1e6:.1f}) | {one['state_bytes'] / GIB:.1f} "
            f"| {one['state_bytes_shared_by_all_gpus'] / GIB:.2f} | {kept['bf16']:.2f} to {kept['fp32']:.2f} "
            f"| {kept['bf16_recomputed']:.2f} | {one['step_seconds']:.2f} | {one['steps']} | {one['days']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--gpu-tflops", type=float, default=312.0, help="bf16, 1e12 operations a second (A100: 312)")
    parser.add_argument("--utilisation", type=float, default=0.4, help="share of that which training reaches")
    parser.add_argument("--output", help="JSON file to write")
    args = parser.parse_args()
    options = {"gpus": args.gpus, "tflops": args.gpu_tflops, "utilisation": args.utilisation}
    results = {name: estimate(MODELS[name], **options) for name in args.models}
    print(table(results, args.gpus), end="")
    if args.output:
        Path(args.output).write_text(json.dumps({"assumed": options, "models": results}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
