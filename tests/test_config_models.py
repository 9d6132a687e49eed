"""Every training configuration in egs/ builds its model, and a step of it runs on tiny tensors.

Models of the paper's sizes are built whole on the meta device, where their parameters are counted; the step is that of
a copy with one layer, of the full width.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import HubertConfig, HubertModel, T5Config

from soundstorm.bin import (
    detect,
    pretrain_hubert,
    pretrain_text_to_semantic,
    train_audiolm,
    train_codec,
    train_consistency,
    train_mask_diffusion,
    train_masked_text_to_semantic,
    train_recognizer,
    train_semantic_to_text,
    train_soundstorm,
    train_tacotron2,
    train_text_to_semantic,
)
from soundstorm.bin.common import section
from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.audiolm_layout import stage_layout
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
from soundstorm.data.datasets.audiolm_dataset import AcousticRows, SemanticRows
from soundstorm.data.datasets.diffusion_dataset import DiffusionTokens
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.data.sampler import SeededIndex
from soundstorm.models.audiolm import AudioLM
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.discriminators import build_discriminators
from soundstorm.models.consistency import ConsistencyNetwork, EarlyLayers
from soundstorm.models.detector import Detector
from soundstorm.models.feature_network import FeatureNetwork
from soundstorm.models.hubert_pretraining import build_hubert_pretraining, frame_padding
from soundstorm.models.mask_diffusion import MaskDiffusion
from soundstorm.models.masked_text_to_semantic import build_masked_text_to_semantic
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.models.semantic_to_text import SemanticToText
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.wavenet import CONTEXT, WaveNet
from soundstorm.training.audiolm_step import AudioLMStep
from soundstorm.training.codec_step import CodecStep
from soundstorm.training.consistency_step import ConsistencyStep
from soundstorm.training.detector_step import DetectorStep
from soundstorm.training.hubert_step import HubertStep
from soundstorm.training.mask_diffusion_step import MaskDiffusionStep
from soundstorm.training.masked_text_to_semantic_step import MaskedTextToSemanticStep
from soundstorm.training.optim import build_optimizer, learning_rate
from soundstorm.training.recognizer_step import RecognizerStep
from soundstorm.training.semantic_to_text_training import SemanticToTextStep
from soundstorm.training.soundstorm_step import SoundStormStep
from soundstorm.training.tacotron2_step import Tacotron2Step
from soundstorm.training.text_to_semantic_pretraining import build_pretrained
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from soundstorm.training.wavenet_step import WaveNetStep

ROOT = Path(__file__).resolve().parent.parent
FRONTS = {
    "train_codec": train_codec,
    "train_soundstorm": train_soundstorm,
    "train_mask_diffusion": train_mask_diffusion,
    "train_audiolm": train_audiolm,
    "train_tacotron2": train_tacotron2,
    "train_text_to_semantic": train_text_to_semantic,
    "train_masked_text_to_semantic": train_masked_text_to_semantic,
    "pretrain_text_to_semantic": pretrain_text_to_semantic,
    "train_semantic_to_text": train_semantic_to_text,
    "train_hubert": pretrain_hubert,
    "train_recognizer": train_recognizer,
    "train_token_recognizer": train_recognizer,
    "train_consistency": train_consistency,
    "detect": detect,
}
LARGE = 20e6  # parameters; of larger models one layer makes the step
LAYERS = dict.fromkeys(("layers", "cycles", "encoder_layers", "decoder_layers", "num_layers"), 1) | {"kernels": (3,)}
STAGES = {"train_audiolm": ("semantic", "coarse", "fine", "acoustic"), "train_tacotron2": ("features", "wavenet")}
SEMANTIC = TokenizerInfo("semantic", "s", "1", 50.0, 1, 500, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "2", 50.0, 12, 1024, 16000)
# What tokens are in archives here, and in egs/piano/run_maestro.sh.
SIZES = {"semantic_size": 500, "num_levels": 12, "codebook_size": 1024}
PIANO = {"semantic_size": 1024, "num_levels": 3, "codebook_size": 16384}
# The published shape of google/byt5-large, which is not downloaded here.
BYT5_LARGE = {"d_model": 1536, "d_ff": 3840, "d_kv": 64, "num_heads": 16, "feed_forward_proj": "gated-gelu"}
# Figures of the papers, and those that follow from what they leave open.
MILLIONS = {
    ("librilight", "train_soundstorm", ""): 353.4,  # 500 semantic tokens; with 1024 of them 353.9
    ("librilight", "train_mask_diffusion", ""): 105.6,  # of 130.1: the configuration says why
    ("librilight", "train_codec_hifi", ""): 62.6,  # and 1.05 of codebooks, which are no parameters
    ("librilight", "train_audiolm", "coarse"): 260.6,
    ("librilight", "train_audiolm", "fine"): 272.7,
    ("librilight", "train_audiolm", "semantic"): 252.7,
    ("librilight", "train_text_to_semantic", ""): 63.6,
    ("librilight", "train_masked_text_to_semantic", ""): 74.1,
    ("dialogue", "train_masked_text_to_semantic", ""): 1210.7,
    ("dialogue", "train_soundstorm", ""): 353.4,  # the same here; with the 1024 of its run.sh 353.9
    ("dialogue", "train_text_to_semantic", ""): 1229.1,
    ("librilight", "train_tacotron2", "features"): 26.3,
    ("librilight", "train_tacotron2", "wavenet"): 30.9,
    ("piano", "train_codec_paper", ""): 10.5,
    ("piano", "train_hubert_paper", ""): 94.6,
    ("piano", "train_audiolm_paper", "semantic"): 253.8,
    ("piano", "train_audiolm_paper", "coarse"): 353.4,
    ("piano", "train_audiolm_paper", "acoustic"): 352.3,
    ("piano", "train_soundstorm_paper", ""): 429.5,
}
# What papers, or the code that belongs to them, say of training; by recipe, configuration and section.
LIBRILIGHT, DIALOGUES = 60000 * 3600, 100000 * 3600  # seconds of an epoch
WINDOW = 15.5 / 30  # share of a chunk of 30 s that a window of 1 to 30 s has in the mean
CROPS = {"batch_size": 64, "gradient_accumulation": 256 / 64}  # AudioLM's 256 a step
SOUNDSTREAM = {
    "reconstruction_weight": 1, "adversarial_weight": 1, "feature_weight": 100, "discriminators": "soundstream",
}  # fmt: skip
PAPERS = {
    ("librilight", "train_soundstorm", "training"): {
        "max_steps": 10 * LIBRILIGHT * WINDOW / 4800, "batch_seconds": 4800,
    },
    ("librilight", "train_soundstorm", "data"): {"max_seconds": 30},
    ("dialogue", "train_soundstorm", "training"): {
        "max_steps": 10 * DIALOGUES * WINDOW / 4800, "batch_seconds": 4800,
    },
    ("dialogue", "train_text_to_semantic", "training"): {
        "max_steps": 10 * DIALOGUES / 2400, "batch_seconds": 2400,
    },
    # The unofficial SoundStorm's egs_s2/LibriLight/conf/60k_default.yaml: 30,000 frames of semantic and acoustic
    # tokens, 50 a second of either, for each of 8 GPUs; targets of 20 s after prompts of 3; every 25 steps an average
    # of 0.99.
    ("librilight", "train_mask_diffusion", "training"): {
        "max_steps": 600000, "batch_seconds": 8 * 30000 / 2 / 50, "learning_rate": 4.5e-4, "betas": (0.9, 0.96),
        "weight_decay": 0.01, "decoupled_decay": True, "warmup_steps": 800, "clip_norm": 0.5,
        "ema_decay": round(0.99 ** (1 / 25), 4),
    },
    ("librilight", "train_mask_diffusion", "data"): {"max_seconds": 20 + 3},
    ("librilight", "train_mask_diffusion", "diffusion"): {"steps": 100, "uniform": 0.1, "auxiliary_weight": 5e-4},
    # HiFi-Codec's 16k-320d: segments of 16,000 samples; 10 times its quantizer's loss, with 0.25 of commitment.
    ("librilight", "train_codec_hifi", "training"): {
        "batch_size": 64, "learning_rate": 2e-4, "betas": (0.5, 0.9), "weight_decay": 0, "warmup_steps": 0,
        "clip_norm": 0,
    },
    ("librilight", "train_codec_hifi", "data"): {"crop_seconds": 16000 / 16000},
    ("librilight", "train_codec_hifi", "loss"): {
        "reconstruction_weight": 45, "commitment_weight": 10 * 0.25, "adversarial_weight": 1, "feature_weight": 1,
        "discriminators": "hifi", "discriminator_start": 0,
    },
    ("librilight", "train_tacotron2", "training"): {
        "batch_size": 64, "learning_rate": 1e-3, "schedule": "exponential", "hold_steps": 50000,
        "final_learning_rate": 1e-5, "betas": (0.9, 0.999), "epsilon": 1e-6, "weight_decay": 1e-6,
        "decoupled_decay": False, "warmup_steps": 0,
    },
    ("librilight", "train_tacotron2", "wavenet_training"): {
        "batch_size": 128, "learning_rate": 1e-4, "schedule": "constant", "betas": (0.9, 0.999), "epsilon": 1e-8,
        "weight_decay": 0, "warmup_steps": 0, "ema_decay": 0.9999,
    },
    ("librilight", "train_audiolm", "training"): {"max_steps": 1000000, **CROPS},
    ("librilight", "train_audiolm", "data"): {"semantic_seconds": 30, "coarse_seconds": 10, "fine_seconds": 3},
    ("piano", "train_audiolm_paper", "training"): CROPS,
    ("piano", "train_audiolm_paper", "data"): {"semantic_seconds": 30, "coarse_seconds": 10},
    ("librilight", "train_codec", "data"): {"crop_seconds": 3},
    ("librilight", "train_codec", "loss"): SOUNDSTREAM,
    ("piano", "train_codec_paper", "data"): {"crop_seconds": 3},
    ("piano", "train_codec_paper", "loss"): SOUNDSTREAM,
}  # fmt: skip


def cases():
    """Name of the front, configurations, and AudioLM's stage; what differs in its training only is one case."""
    alike = {}
    for path in sorted((ROOT / "egs").glob("*/conf/*.yaml")):
        name = next((name for name in FRONTS if path.stem == name or path.stem.startswith(f"{name}_")), None)
        if name:
            sections = yaml.safe_load(path.read_text(encoding="utf-8"))
            sections.pop("training")
            alike.setdefault((name, yaml.safe_dump(sections)), []).append(path)
    for (name, _), paths in alike.items():
        for stage in STAGES.get(name, ("",)):
            yield pytest.param(name, paths, stage, id=f"{paths[-1].parts[-3]}/{paths[-1].stem} {stage}".strip())


def read(name, path):
    """The sections of a configuration."""
    front = FRONTS[name]
    parser = front.get_parser()
    for action in parser._actions:
        action.required = False
    args = parser.parse_args(["--config", str(path)])
    return {key: section(args, key, cls) for key, cls in front.SECTIONS.items()}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Archives of three short utterances."""
    folder, rng = tmp_path_factory.mktemp("tokens"), np.random.default_rng(0)
    lengths = {"a": 8, "b": 10, "c": 9}
    semantic = ((utt, rng.integers(0, SEMANTIC.codebook_size, length)) for utt, length in lengths.items())
    write_tokens(folder / "semantic", semantic, SEMANTIC)
    shapes = {utt: (length, ACOUSTIC.num_levels) for utt, length in lengths.items()}
    acoustic = ((utt, rng.integers(0, ACOUSTIC.codebook_size, shape)) for utt, shape in shapes.items())
    write_tokens(folder / "acoustic", acoustic, ACOUSTIC)
    return folder


def batch_of(dataset):
    return dataset.collate([dataset[SeededIndex(index, (0, 0, index))] for index in range(len(dataset))])


def text_batch():
    """Texts, or what stands for them, with semantic tokens."""
    return {
        "text": torch.randint(3, 259, (2, 9)),
        "text_lengths": torch.tensor([9, 5]),
        "tokens": torch.randint(0, 500, (2, 20)),
        "inputs": torch.randint(0, 500, (2, 20)),
        "lengths": torch.tensor([20, 14]),
    }


def masked_text_batch():
    """The same with masks."""
    return text_batch() | {"prompt_end": torch.tensor([4, 0]), "dropped": torch.rand(2, 20) < 0.6}


def make(name, config, stage, tokens, encoder_layers=36, sizes=SIZES):
    """The step of a configuration, on the present device, and a function that makes its batch, of tokens of SIZES."""
    model = config["model"]
    if name == "train_codec":
        codec, loss = build_codec(model), config["loss"]
        step = CodecStep(
            codec,
            build_discriminators(loss) if loss.adversarial else None,
            dataclasses.replace(loss, discriminator_start=0),
            sample_rate=model.sample_rate,
            quantizer_dropout=model.quantizer_dropout,
        )
        samples = 8 * model.samples_per_frame
        wav = 0.1 * torch.randn(2, samples)
        return step, lambda: {"wav": wav, "length": torch.tensor([samples, samples // 2]), "chance": torch.ones(2)}
    if name == "train_soundstorm":
        network = SoundStorm(model, **sizes)
        return SoundStormStep(network), lambda: batch_of(
            MaskedTokens(AlignedTokens.from_data_dir(tokens, config["data"]), config["masking"])
        )
    if name == "train_mask_diffusion":
        chain = config["diffusion"]
        network = MaskDiffusion(model, chain, **sizes)
        return MaskDiffusionStep(network, chain.auxiliary_weight), lambda: batch_of(
            DiffusionTokens(AlignedTokens.from_data_dir(tokens, config["data"]), config["data"].unprompted)
        )
    if name == "train_audiolm":
        coarse = config["data"].coarse_levels_of(sizes["num_levels"])
        layout = stage_layout(stage, coarse_levels=coarse, **sizes)
        window = config["data"].window(stage)

        def rows():
            if stage == "semantic":
                return batch_of(SemanticRows(TokenArchive(tokens / "semantic.scp"), layout, window))
            return batch_of(AcousticRows(AlignedTokens.from_data_dir(tokens, window), stage, layout, coarse))

        return AudioLMStep(AudioLM(model, **dataclasses.asdict(layout))), rows
    if name == "train_tacotron2" and stage == "features":
        mels = config["mel"].num_mels
        network, step = FeatureNetwork(model, text_size=384, num_mels=mels, speaker_size=256), model.reduction
        return Tacotron2Step(network, config["loss"]), lambda: {
            "text": torch.randint(3, 259, (2, 9)),
            "text_lengths": torch.tensor([5, 9]),
            "features": torch.randn(2, 4 * step, mels),
            "lengths": torch.tensor([4 * step, 2 * step]),
            "speakers": torch.randn(2, 256),
        }
    if name == "train_tacotron2":
        mels, hop = config["mel"].num_mels, config["mel"].hop
        assert math.prod(model.upsampling) == hop
        return WaveNetStep(WaveNet(model, mels)), lambda: {
            "wav": 0.1 * torch.randn(2, 3 * hop),
            "features": torch.randn(2, 3 + 2 * CONTEXT, mels),
        }
    if name == "pretrain_text_to_semantic":
        return TextToSemanticStep(build_pretrained(model, SEMANTIC), config["loss"]), text_batch
    if name == "train_semantic_to_text":
        return SemanticToTextStep(SemanticToText(model, num_tokens=500, text_vocab_size=384)), text_batch
    if name.endswith("text_to_semantic"):
        shape = tokens / f"encoder{encoder_layers}"
        T5Config(vocab_size=384, num_layers=encoder_layers, **BYT5_LARGE).save_pretrained(str(shape))
        vocabulary = {"text_vocab_size": 384, "num_tokens": 500, "encoder_dir": shape}
        if "masked" in name:
            network = build_masked_text_to_semantic(model, **vocabulary)
            return MaskedTextToSemanticStep(network, config["loss"]), masked_text_batch
        network = build_text_to_semantic(model, **vocabulary)
        return TextToSemanticStep(network, config["loss"]), text_batch
    if name == "train_hubert":
        network = build_hubert_pretraining(model, 100, sample_rate=16000)
        hop, (left, right) = frame_padding(network.hubert.config)
        return HubertStep(network, unmasked_weight=model.unmasked_weight), lambda: {
            "wavs": torch.randn(2, 20 * hop + left + right),
            "lengths": None,
            "labels": torch.randint(0, 100, (2, 20)),
            "mask": torch.arange(20).expand(2, 20) % 7 < 3,
        }
    if name in ("train_recognizer", "train_token_recognizer"):
        vocabulary = {"<blank>": 0, "|": 1, "a": 2}
        frames = torch.randn(2, 20, model.num_mels * model.stack)
        return RecognizerStep(CtcNetwork(model, 3), vocabulary), lambda: {
            "frames": frames,
            "lengths": torch.tensor([20, 12]),
            "targets": torch.tensor([[2, 1, 2], [2, 0, 0]]),
            "target_lengths": torch.tensor([3, 1]),
        }
    if name == "train_consistency":
        hubert = HubertModel(
            HubertConfig(hidden_size=32, num_hidden_layers=5, num_attention_heads=2, intermediate_size=32,
                         conv_dim=(16, 16), conv_kernel=(20, 16), conv_stride=(20, 16), feat_extract_norm="layer")
        )  # fmt: skip
        network = ConsistencyNetwork(
            32,
            width=model.width,
            heads=model.heads,
            embedding_dim=model.embedding_dim,
            dropout=model.dropout,
        )
        return ConsistencyStep(network, EarlyLayers(hubert, model.layer)), lambda: {
            "wavs": torch.randn(4, 6400),
            "lengths": torch.tensor([6400, 5000, 6400, 4000]),
        }
    frames = round(100 * model.crop_seconds)
    return DetectorStep(Detector(model)), lambda: {
        "spectra": torch.randn(2, frames, model.num_mels),
        "labels": torch.tensor([0.0, 1.0]),
    }


def parameters(step):
    return sum(p.numel() for p in step.networks["model"].parameters())


@pytest.mark.parametrize("name, paths, stage", list(cases()))
def test_a_configuration_builds_its_model_and_makes_a_step(name, paths, stage, tokens):
    torch.manual_seed(0)
    config = read(name, paths[0])
    if stage == "wavenet":
        config |= {"model": config["wavenet"], "training": config["wavenet_training"]}
    with torch.device("meta"):
        whole, _ = make(name, config, stage, tokens, sizes=PIANO if paths[0].stem.endswith("_paper") else SIZES)
    for wanted in filter(None, (MILLIONS.get((path.parts[-3], path.stem, stage)) for path in paths)):
        assert parameters(whole) / 1e6 == pytest.approx(wanted, abs=0.05)
    encoder_layers = 36
    if parameters(whole) > LARGE:
        fields = {field.name for field in dataclasses.fields(config["model"])}
        config["model"] = dataclasses.replace(
            config["model"], **{name: value for name, value in LAYERS.items() if name in fields}
        )
        if name == "train_codec":
            config["loss"] = dataclasses.replace(config["loss"], wave_max_channels=64)
        encoder_layers = 1
    step, make_batch = make(name, config, stage, tokens, encoder_layers)
    batch, training = make_batch(), config["training"]
    for phase in step.phases:
        network = step.networks[phase].train()
        optimizer = build_optimizer(network, training)
        loss = step.loss(phase, step.networks, batch)
        (loss.total / loss.weight).backward()
        gradients = [p.grad for p in network.parameters() if p.requires_grad and p.grad is not None]
        assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(0, training)
        optimizer.step()
        optimizer.zero_grad()
    assert math.isfinite(float(loss.total.detach())) and float(loss.weight) > 0


@pytest.mark.parametrize("recipe, stem, section_name", PAPERS)
def test_a_configuration_of_a_papers_size_has_its_settings(recipe, stem, section_name):
    name = next(name for name in FRONTS if stem == name or stem.startswith(f"{name}_"))
    found = read(name, ROOT / "egs" / recipe / "conf" / f"{stem}.yaml")[section_name]
    for field, wanted in PAPERS[recipe, stem, section_name].items():
        assert getattr(found, field) == pytest.approx(wanted), field


def test_every_training_configuration_is_among_them():
    known = {path for param in cases() for path in param.values[1]}
    assert {path for path in (ROOT / "egs").glob("*/conf/*train_*.yaml")} <= known
