"""Every part of the system with random weights, as things to be timed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
import torch
from sizes import Work
from torch import nn

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.audiolm_stages import COARSE, FINE
from soundstorm.data.datasets.dataset_configs import AudioLMDataConfig
from soundstorm.data.datasets.masked_tokens_dataset import draw_mask_numbers
from soundstorm.data.text import ByteTokenizer
from soundstorm.decoding.audiolm_generator import AudioLMGenerator, LanguageModel
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig
from soundstorm.decoding.autoregressive import sample_sequences
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.parallel import decode
from soundstorm.models.audiolm import AudioLM
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.istft_config import IstftConfig
from soundstorm.models.devices import ready_for_single_steps
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import TextToSemanticConfig
from soundstorm.training.layout import find_blocks
from soundstorm.training.optim import build_optimizer
from soundstorm.training.soundstorm_step import SoundStormStep
from soundstorm.training.training_config import TrainerConfig

Built = tuple[Callable[[], object], nn.Module, int]  # what to time, the network whose calls are passes, parameters


def build(work: Work) -> Built:
    """Function to time, network whose forward calls are passes, and parameters."""
    builders = {
        "train": _train,
        "decode": _decode,
        "codec_encode": _codec,
        "codec_decode": _codec,
        "semantic": _semantic,
        "text_to_semantic": _text_to_semantic,
        "audiolm": _audiolm,
    }
    if work.part not in builders:
        raise ValueError(f"part is {work.part!r}, expected one of {', '.join(builders)}")
    torch.manual_seed(0)
    return builders[work.part](work)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _lively(network: nn.Module) -> nn.Module:
    """Branches that start as zeros would be fast to multiply with on no machine, but ties of all logits are not."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return network


def _soundstorm(work: Work) -> SoundStorm:
    sizes = work.sizes
    config = SoundStormConfig(
        layers=sizes.layers, width=sizes.width, heads=sizes.heads, inner=sizes.inner, kernel=sizes.kernel,
        expansion=work.expansion, dropout=0.0,
    )  # fmt: skip
    model = SoundStorm(
        config, num_levels=sizes.levels, codebook_size=sizes.codebook, semantic_size=sizes.semantic
    )
    return _lively(model).to(work.device)


def _compile(network: nn.Module, work: Work) -> None:
    """As ``training.compile`` does; on a CPU without the compiler of C++, so that the way there is tried."""
    if work.compiled:
        graphs = work.compiled == "graphs" and work.device != "cpu"
        options = {"mode": "reduce-overhead"} if graphs else {}
        for block in find_blocks(network):
            block.compile(**({"backend": "aot_eager"} if work.device == "cpu" else options))


def _train(work: Work) -> Built:
    """Loss, gradient, clipping and AdamW, as the trainer does them; every step with masks of its own."""
    model, rng = _soundstorm(work).train(), np.random.default_rng(0)
    _compile(model, work)
    step = SoundStormStep(model)
    optimizer = build_optimizer(model, TrainerConfig(batch_size=work.batch))
    shape = (work.batch, work.frames)
    batch = {
        "semantic": torch.randint(work.sizes.semantic, shape),
        "codes": torch.randint(work.sizes.codebook, (*shape, work.sizes.levels)),
        "lengths": torch.full((work.batch,), work.frames),
    }
    batch = {name: value.to(work.device) for name, value in batch.items()}
    autocast = torch.autocast(work.device, torch.bfloat16, enabled=work.precision == "bf16")

    def run() -> None:
        draws = [draw_mask_numbers(work.frames, work.sizes.levels, rng) for _ in range(work.batch)]
        masks = {
            "prompt_end": torch.tensor([draw.prompt_end for draw in draws]),
            "level": torch.tensor([draw.level for draw in draws]),
            "dropped": torch.from_numpy(np.stack([draw.dropped for draw in draws])),
        }
        masks = {name: value.to(work.device, non_blocking=True) for name, value in masks.items()}
        with autocast:
            loss = step.loss("model", step.networks, batch | masks)
        loss.total.backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        torch._foreach_mul_(gradients, 1.0 / loss.weight)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return run, model.conformer, _parameters(model)


def _decode(work: Work) -> Built:
    model = _soundstorm(work).eval()
    _compile(model, work)
    semantic = torch.randint(work.sizes.semantic, (work.batch, work.frames)).to(work.device)
    lengths = torch.full((work.batch,), work.frames)
    config = ParallelConfig(iterations=(work.sizes.iterations, 1), precision=work.precision)
    return lambda: decode(model, semantic, lengths, config), model.conformer, _parameters(model)


def _codec(work: Work) -> Built:
    sizes = work.sizes
    config = IstftConfig(
        width=sizes.codec_width, num_levels=sizes.levels, codebook_size=sizes.codebook,
        sample_rate=sizes.sample_rate, hop=sizes.sample_rate // sizes.frame_rate,
    )  # fmt: skip
    codec = build_codec(config).eval().to(work.device)
    autocast = torch.autocast(work.device, torch.bfloat16, enabled=work.precision == "bf16")
    encoding = work.part == "codec_encode"
    wav = torch.randn(work.batch, work.frames * codec.hop).to(work.device)
    codes = torch.randint(sizes.codebook, (work.batch, work.frames, sizes.levels)).to(work.device)

    def run() -> None:
        with torch.inference_mode(), autocast:
            codec.encode(wav) if encoding else codec.decode(codes)

    return run, codec.encoder if encoding else codec.decoder, _parameters(codec)


def _semantic(work: Work) -> Built:
    """HuBERT of the shape of egs/mini's and k-means, one recording after the other as stage 1 does on a CPU."""
    from transformers import HubertConfig, HubertModel

    from soundstorm.tokens.kmeans import KMeans, KMeansInfo
    from soundstorm.tokens.semantic import SemanticTokenizer
    from soundstorm.tokens.ssl_features import SslFeatures

    width = work.sizes.hubert_width
    shape = HubertConfig(
        hidden_size=width, num_hidden_layers=4, num_attention_heads=3, intermediate_size=4 * width,
        conv_dim=(128, 256, 256), conv_kernel=(320, 4, 2), conv_stride=(80, 2, 2), feat_extract_norm="layer",
        conv_bias=True, do_stable_layer_norm=True, num_conv_pos_embeddings=32, num_conv_pos_embedding_groups=16,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        HubertModel(shape).save_pretrained(folder)
        features = SslFeatures(folder, 4, device=work.device)
    info = KMeansInfo(
        features=features.source, layer=4, features_fingerprint=features.fingerprint, frame_rate=features.frame_rate,
        sample_rate=features.sample_rate, num_clusters=work.sizes.semantic, normalization="none", library="sklearn",
        seed=0, portion=1.0, num_frames=work.sizes.semantic, inertia=0.0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    centroids = rng.standard_normal((work.sizes.semantic, width)).astype(np.float32)
    zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
    tokenizer = SemanticTokenizer(KMeans(info, centroids, zeros, ones), features)
    wavs = rng.standard_normal((work.batch, round(work.seconds * features.sample_rate))).astype(np.float32)
    return lambda: [tokenizer.encode([wav]) for wav in wavs], features.model, _parameters(features.model)


def _text_to_semantic(work: Work) -> Built:
    """Twelve letters a second; it is cut at the length wanted and does not end before."""
    sizes = work.sizes
    config = TextToSemanticConfig(
        encoder_layers=sizes.layers, encoder_dim=sizes.width, encoder_heads=sizes.heads, encoder_ffn_dim=sizes.inner,
        decoder_layers=sizes.layers, decoder_dim=sizes.width, decoder_heads=sizes.heads, decoder_ffn_dim=sizes.inner,
        head_dim=sizes.width // sizes.heads, dropout=0.0,
    )  # fmt: skip
    vocabulary = ByteTokenizer(lowercase=True).vocab_size
    model = build_text_to_semantic(config, text_vocab_size=vocabulary, num_tokens=sizes.semantic)
    ready_for_single_steps(_lively(model), work.device)
    texts = [np.full(round(12 * work.seconds), 70) for _ in range(work.batch)]
    streams = [torch.rand(2, work.frames, generator=torch.Generator().manual_seed(b)) for b in range(work.batch)]
    autocast = torch.autocast(work.device, torch.bfloat16, enabled=work.precision == "bf16")

    def run() -> None:
        with autocast:
            sample_sequences(
                model, texts, uniforms=streams, min_frames=[work.frames] * work.batch, temperature=0.9, top_k=125
            )

    return run, model.norm, _parameters(model)


def _audiolm(work: Work) -> Built:
    """Coarse and fine stage with their caches, in the chunks of the paper."""
    sizes, data = work.sizes, AudioLMDataConfig()
    common = {"fingerprint": "", "frame_rate": sizes.frame_rate, "sample_rate": sizes.sample_rate}
    semantic = TokenizerInfo("semantic", "", num_levels=1, codebook_size=sizes.semantic, **common)
    acoustic = TokenizerInfo("acoustic", "", num_levels=sizes.levels, codebook_size=sizes.codebook, **common)
    coarse_levels = data.coarse_levels_of(sizes.levels)
    config = AudioLMConfig(
        layers=sizes.layers, width=sizes.width, heads=sizes.heads, head_dim=sizes.width // sizes.heads,
        inner=sizes.inner, dropout=0.0,
    )  # fmt: skip
    stages = []
    for name in (COARSE, FINE):
        layout = stage_layout(
            name, semantic_size=sizes.semantic, num_levels=sizes.levels, coarse_levels=coarse_levels,
            codebook_size=sizes.codebook,
        )  # fmt: skip
        model = ready_for_single_steps(_lively(AudioLM(config, **vars(layout))), work.device)
        stages.append(LanguageModel(name, model, layout, data.seconds(name), coarse_levels, semantic, acoustic))
    generator = AudioLMGenerator(*stages)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(sizes.semantic, size=work.frames) for _ in range(work.batch)]
    autocast = torch.autocast(work.device, torch.bfloat16, enabled=work.precision == "bf16")

    def run() -> None:
        with autocast:
            generator.acoustic_tokens(tokens, AudioLMSamplingConfig(), seeds=list(range(work.batch)))

    networks = nn.ModuleList(stage.model for stage in stages)
    counter, nothing = nn.Identity(), torch.zeros(())  # is told of both stages' passes

    def tell(*_) -> None:
        counter(nothing)

    for stage in stages:
        stage.model.norm.register_forward_hook(tell)
    return run, counter, _parameters(networks)
