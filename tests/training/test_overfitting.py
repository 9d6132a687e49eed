"""Every model learns one stored batch by heart: its loss, its gradients and its inputs belong together.

SoundStorm's is in tests/models/test_soundstorm.py, where its batch is. The recogniser and the detector do more: they
read and tell apart what they have not heard (test_recognizer_step.py, test_detector_step.py).
"""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.data.audiolm_layout import fine_condition, stage_layout
from soundstorm.data.audiolm_stages import STAGES
from soundstorm.data.characters import build_vocabulary, encode_text
from soundstorm.data.datasets.audiolm_dataset import collate_rows
from soundstorm.data.datasets.denoising_dataset import DenoisingDataset, token_text_size
from soundstorm.data.datasets.hubert_dataset import draw_span_mask
from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.audiolm import AudioLM
from soundstorm.models.audiolm_config import AudioLMConfig
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.istft_config import IstftConfig
from soundstorm.models.codec.soundstream_config import SoundStreamConfig
from soundstorm.models.consistency import ConsistencyNetwork, EarlyLayers
from soundstorm.models.detector import Detector
from soundstorm.models.detector_config import DetectorConfig
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import build_hubert_pretraining, frame_padding
from soundstorm.models.recognizer import CtcNetwork
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.models.text_to_semantic import build_text_to_semantic
from soundstorm.models.text_to_semantic_config import TextLossConfig, TextToSemanticConfig
from soundstorm.training.audiolm_step import AudioLMStep
from soundstorm.training.codec_step import CodecStep
from soundstorm.training.consistency_step import ConsistencyStep
from soundstorm.training.detector_step import DetectorStep
from soundstorm.training.hubert_step import HubertStep
from soundstorm.training.recognizer_step import RecognizerStep
from soundstorm.training.text_to_semantic_step import TextToSemanticStep
from tests.text_to_semantic_toy import INFO, write_corpus


def learn(step, batch: dict, *, steps: int, rate: float) -> list[dict[str, float]]:
    """Figures of every step, the loss among them, each a mean."""
    model, figures = step.networks["model"].train(), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    for done in range(steps):
        for group in optimizer.param_groups:  # the end is calm, as with every schedule of the trainer
            group["lr"] = rate * min(1.0, 2 * (1 - done / steps))
        loss = step.loss("model", step.networks, batch)
        (loss.total / loss.weight).backward()
        optimizer.step()
        optimizer.zero_grad()
        means = {name: float(total) / float(count) for name, (total, count) in loss.metrics.items()}
        figures.append(means | {"loss": float(loss.total.detach()) / float(loss.weight)})
    return figures


@pytest.mark.parametrize("kind", [pytest.param("attention", marks=pytest.mark.integration), "pointer"])
def test_a_text_to_semantic_model_learns_a_batch_by_heart(kind, tmp_path):
    """Which token a stay ends with is chance, but chance of a stored batch can be learned by heart too."""
    torch.manual_seed(0)
    config = TextToSemanticConfig(
        encoder_layers=1, encoder_dim=32, encoder_heads=2, encoder_ffn_dim=64, decoder_layers=2, decoder_dim=48,
        decoder_heads=2, head_dim=16, decoder_ffn_dim=96, dropout=0.0,
    )  # fmt: skip
    config = replace(config, pointer=kind == "pointer")
    model = build_text_to_semantic(config, text_vocab_size=384, num_tokens=INFO.codebook_size)
    dataset = TextSemanticDataset(write_corpus(tmp_path / "data", utterances=3), ByteTokenizer())
    batch = dataset.collate([dataset[SeededIndex(i, (0, 0, i))] for i in range(3)])
    loss = TextLossConfig(alignment_weight=0.0 if kind == "attention" else 0.1)
    figures = learn(TextToSemanticStep(model, loss), batch, steps=120, rate=5e-3)
    assert figures[0]["cross_entropy"] > 2 and figures[-1]["cross_entropy"] < 0.05
    assert figures[-1]["accuracy"] == 1
    if kind == "pointer":
        assert figures[-1]["move"] < 0.02
        # The most likely paths are many, so this does not come to zero.
        assert figures[-1]["alignment"] < 0.1 * figures[0]["alignment"]


@pytest.mark.parametrize("positions", ["sequence", "time"])
@pytest.mark.parametrize("stage", STAGES)
def test_audiolm_learns_a_batch_by_heart(stage, positions):
    torch.manual_seed(0)
    rng, rows = np.random.default_rng(0), []
    layout = stage_layout(stage, semantic_size=9, num_levels=5, coarse_levels=2, codebook_size=7)
    # What a row without conditioning begins with is chance, which one row can have by heart, but not two: nothing tells
    # them apart.
    for frames in (12,) if stage in ("semantic", "acoustic") else (12, 8):
        semantic, codes = rng.integers(0, 9, frames), rng.integers(0, 7, (frames, 5))
        condition, target = {
            "semantic": ((semantic[:0], semantic[:0]), semantic[:, None]),
            "coarse": ((semantic[::2], np.arange(0, frames, 2)), codes[:, :2]),
            "fine": (fine_condition(codes[:, :2], 7), codes[:, 2:]),
            "acoustic": ((semantic[:0], semantic[:0]), codes[:, :2]),
        }[stage]
        rows.append(layout.row(*condition, target, complete=True))
    config = AudioLMConfig(layers=2, width=48, heads=2, head_dim=24, inner=96, dropout=0.0, positions=positions)
    figures = learn(AudioLMStep(AudioLM(config, **asdict(layout))), collate_rows(rows), steps=200, rate=3e-3)
    assert figures[0]["loss"] > 1.9 and figures[-1]["loss"] < 0.02
    assert figures[-1]["accuracy"] == 1


@pytest.mark.parametrize("pointer", [False, pytest.param(True, marks=pytest.mark.integration)])
def test_what_was_deleted_from_a_batch_is_learned_by_heart(pointer, tmp_path):
    torch.manual_seed(0)
    config = TextToSemanticConfig(
        encoder_layers=1, encoder_dim=32, encoder_heads=2, encoder_ffn_dim=64, decoder_layers=2, decoder_dim=48,
        decoder_heads=2, head_dim=16, decoder_ffn_dim=96, dropout=0.0, pointer=pointer,
    )  # fmt: skip
    size = INFO.codebook_size
    model = build_text_to_semantic(config, text_vocab_size=token_text_size(size), num_tokens=size)
    dataset = DenoisingDataset(write_corpus(tmp_path / "data", utterances=3))
    batch = dataset.collate([dataset[SeededIndex(i, (0, 0, i))] for i in range(3)])
    step = TextToSemanticStep(model, TextLossConfig(alignment_weight=0.1 if pointer else 0.0))
    figures = learn(step, batch, steps=120, rate=5e-3)
    assert figures[0]["cross_entropy"] > 2 and figures[-1]["cross_entropy"] < 0.05
    assert figures[-1]["accuracy"] == 1


def test_hubert_learns_the_labels_under_its_masks_by_heart():
    torch.manual_seed(0)
    config = HubertPretrainingConfig(
        width=32, num_layers=1, num_heads=2, feed_forward_width=64, conv_widths=(16, 16), conv_kernels=(64, 10),
        conv_strides=(32, 10), conv_norm="layer", position_kernel=8, position_groups=2, label_width=16, dropout=0.0,
        layer_drop=0.0,
    )  # fmt: skip
    model = build_hubert_pretraining(config, 5, sample_rate=16000)
    rng, frames = np.random.default_rng(0), (30, 22)
    _, (left, right) = frame_padding(model.hubert.config)
    wavs = torch.zeros(2, 30 * 320 + left + right)
    labels, mask = torch.full((2, 30), -1), torch.zeros(2, 30, dtype=torch.bool)
    for row, length in enumerate(frames):
        wavs[row, left : left + 320 * length] = torch.from_numpy(rng.standard_normal(320 * length)).float()
        labels[row, :length] = torch.from_numpy(rng.integers(0, 5, length))
        mask[row, :length] = torch.from_numpy(draw_span_mask(length, probability=0.08, span=5, rng=rng))
    lengths = torch.tensor([320 * length + left + right for length in frames])
    batch = {"wavs": wavs, "lengths": lengths, "labels": labels, "mask": mask}
    figures = learn(HubertStep(model), batch, steps=100, rate=5e-3)
    assert figures[0]["loss"] > 1.4 and figures[-1]["loss"] < 0.05
    assert figures[-1]["masked_accuracy"] == 1


@pytest.mark.parametrize(
    "family, rate", [("istft", 5e-3), pytest.param("soundstream", 1e-2, marks=pytest.mark.integration)]
)
def test_a_codec_hears_two_sweeps(family, rate):
    """A decoder of this size never gives a wave back exactly: here near zero is a quarter of the first mel distance."""
    torch.manual_seed(0)
    sizes = {"num_levels": 4, "codebook_size": 32, "quantizer_dropout": 0.0}
    config = {
        "istft": IstftConfig(
            **sizes, hop=80, n_fft=320, width=48, expansion=2, encoder_blocks=1, decoder_blocks=2
        ),
        "soundstream": SoundStreamConfig(**sizes, channels=4, latent_dim=16, strides=(4, 4, 5)),
    }[family]  # fmt: skip
    loss = CodecLossConfig(wave_discriminators=0, stft_discriminator=False, mel_windows=(64, 256), mel_style="log")
    step = CodecStep(build_codec(config), None, loss, sample_rate=16000, quantizer_dropout=0.0)
    time, lengths = torch.arange(960) / 16000, torch.tensor([960, 720])
    wav = 0.3 * torch.sin(2 * math.pi * torch.tensor([[200.0], [1100.0]]) * time * (1 + 2 * time))
    wav = wav * (torch.arange(960) < lengths[:, None])
    figures = learn(step, {"wav": wav, "length": lengths, "chance": torch.ones(2)}, steps=150, rate=rate)
    assert figures[0]["mel"] > 1.5 and figures[-1]["mel"] < 0.25 * figures[0]["mel"]
    assert figures[-1]["commitment"] < 0.02


def test_the_consistency_network_learns_the_partners_by_heart():
    torch.manual_seed(0)
    hubert = HubertModel(
        HubertConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                     conv_dim=(24, 24), conv_kernel=(20, 16), conv_stride=(20, 16), feat_extract_norm="layer",
                     num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    )  # fmt: skip
    network = ConsistencyNetwork(24, width=32, heads=2, embedding_dim=16, dropout=0.0)
    lengths = torch.tensor([3200, 2900, 3200, 2500, 3100, 2222, 3200, 3000])
    wavs = torch.randn(8, 3200) * (torch.arange(3200) < lengths[:, None])
    step = ConsistencyStep(network, EarlyLayers(hubert, 1))
    figures = learn(step, {"wavs": wavs, "lengths": lengths}, steps=60, rate=3e-3)
    assert figures[0]["loss"] > 1 and figures[-1]["loss"] < 0.01
    assert figures[-1]["accuracy"] == 1


def test_the_recogniser_learns_texts_by_heart():
    torch.manual_seed(0)
    texts = ["ab ba", "b aab"]
    vocabulary = build_vocabulary(texts)
    config = RecognizerConfig(num_mels=8, stack=2, width=32, blocks=2, kernel=5)
    targets = [torch.tensor(encode_text(text, vocabulary)) for text in texts]
    lengths = torch.tensor([24, 15])
    batch = {
        "frames": torch.randn(2, 24, 16) * (torch.arange(24) < lengths[:, None])[..., None],
        "lengths": lengths, "targets": torch.cat(targets), "target_lengths": torch.tensor([len(t) for t in targets]),
    }  # fmt: skip
    model = CtcNetwork(config, len(vocabulary))
    figures = learn(RecognizerStep(model, vocabulary), batch, steps=80, rate=5e-3)
    assert figures[0]["ctc"] > 3 and figures[-1]["ctc"] < 0.02
    columns = model.eval()(batch["frames"], lengths).argmax(-1)
    for row, length, target in zip(columns, lengths, targets, strict=True):
        read = [c for c in row[:length].unique_consecutive().tolist() if c != vocabulary["<blank>"]]
        assert read == target.tolist()


def test_the_detector_learns_labels_by_heart():
    torch.manual_seed(0)
    model = Detector(DetectorConfig(crop_seconds=0.3, num_mels=8, width=16, blocks=1, kernel=3))
    batch = {"spectra": torch.randn(8, 30, 8), "labels": torch.tensor([0.0, 1.0] * 4)}
    figures = learn(DetectorStep(model), batch, steps=60, rate=1e-2)
    assert figures[0]["loss"] > 0.5 and figures[-1]["loss"] < 0.01
    assert figures[-1]["accuracy"] == 1
