"""Models that tokens listen through, small enough for tests, and a data directory of noises."""

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoModel,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from soundstorm.data.audio import write_audio
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import build_hubert_pretraining
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.hubert_step import export_hubert

TINY = {
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_width": 16,
    "conv_widths": (8, 8),
    "conv_kernels": (40, 12),
    "conv_strides": (32, 10),
    "position_kernel": 8,
    "position_groups": 2,
    "label_width": 8,
}


def make_hubert(directory, *, normalize=True, seed=0, **settings):
    """Write a random HuBERT; returns its directory."""
    torch.manual_seed(seed)
    config = HubertPretrainingConfig(**{**TINY, "conv_norm": "layer", **settings})
    model = build_hubert_pretraining(config, 5, sample_rate=16000)
    export_hubert(model.hubert, directory, normalize=normalize, sample_rate=16000)
    return directory


def make_recognizer(directory):
    """Write the experiment of a random recogniser of 50 frames a second; returns its network."""
    torch.manual_seed(0)
    config = RecognizerConfig(num_mels=8, stack=2, width=16, expansion=2, blocks=2, kernel=3)
    network = CtcNetwork(config, 4).eval()
    directory.mkdir()
    sections = {"model": dataclasses.asdict(config), "vocabulary": {"<blank>": 0, "|": 1, "a": 2, "b": 3}}
    (directory / "config.yaml").write_text(yaml.safe_dump(sections))
    save_file(network.state_dict(), directory / "model.safetensors")
    return network


def make_ssl_model(directory, model_type, *, normalize=True, **settings):
    """Write a random model of a family of transformers, 50 frames a second; returns its directory."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    convolutions = {"conv_dim": (8, 8), "conv_kernel": (40, 12), "conv_stride": (32, 10), "conv_bias": True}
    positions = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    if model_type == "data2vec-audio":  # several convolutions, not one
        positions |= {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}
    config = AutoConfig.for_model(model_type, **sizes, **convolutions, **positions, **settings)
    model = AutoModel.from_config(config)
    for name, parameter in model.named_parameters():  # as if trained: published biases are not zero
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(directory)
    Wav2Vec2FeatureExtractor(
        do_normalize=normalize, return_attention_mask=config.feat_extract_norm == "layer"
    ).save_pretrained(directory)
    return directory


def make_whisper(directory, *, positions=300, seed=0):
    """Write a random Whisper, with its decoder as the published ones; returns its directory."""
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_mel_bins=20, max_source_positions=positions,
        vocab_size=20, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    for parameter in model.parameters():  # so that frames differ, and biases are not zero
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def hubert_dir(tmp_path_factory):
    """A HuBERT with normalisation of each frame alone, as mini's."""
    return make_hubert(tmp_path_factory.mktemp("hubert") / "layer")


@pytest.fixture(scope="session")
def group_hubert_dir(tmp_path_factory):
    """A HuBERT with a normalisation over time, as BASE."""
    return make_hubert(tmp_path_factory.mktemp("hubert") / "group", conv_norm="group")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Six recordings of two 'phones', low and high noise, by two speakers."""
    root = tmp_path_factory.mktemp("noises")
    rng = np.random.default_rng(0)
    tables = {name: [] for name in ("wav.scp", "utt2spk", "utt2dur", "phones.ctm")}
    for number in range(6):
        utt = f"s{number % 2}-u{number}"
        pieces, at = [], 0.0
        for place in range(6):
            duration = 0.1 + 0.02 * ((number + place) % 4)
            noise = rng.standard_normal(round(16000 * duration)) * 0.1
            high = (place + number) % 2
            piece = np.diff(noise, prepend=0.0) if high else np.cumsum(noise) * 0.1
            pieces.append(piece - piece.mean())
            tables["phones.ctm"].append(f"{utt} 1 {at:.3f} {duration:.3f} {'s' if high else 'm'}")
            at += duration
        wav = np.concatenate(pieces).astype(np.float32)
        write_audio(root / f"{utt}.wav", wav, 16000)
        tables["wav.scp"].append(f"{utt} {root / utt}.wav")
        tables["utt2spk"].append(f"{utt} s{number % 2}")
        tables["utt2dur"].append(f"{utt} {len(wav) / 16000:.4f}")
    for name, lines in tables.items():
        # Sorted by utterance; the phones of one stay in the order of time.
        (root / name).write_text(
            "".join(f"{line}\n" for line in sorted(lines, key=lambda text: text.split()[0]))
        )
    return root
