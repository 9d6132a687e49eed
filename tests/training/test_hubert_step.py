"""HuBERT pre-training: examples, the loss on masked frames, learning, resuming, the directory it leaves."""

import json
import math

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, HubertModel

from soundstorm.data import audio
from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.datasets.dataset_configs import HubertDataConfig
from soundstorm.data.sampler import SeededIndex
from soundstorm.models.hubert_config import HubertPretrainingConfig
from soundstorm.models.hubert_pretraining import build_hubert_pretraining, frame_padding
from soundstorm.training.hubert_step import HubertStep, make_dataset
from soundstorm.training.hubert_training import pretrain_hubert
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun

TINY = {
    "width": 16,
    "num_layers": 1,
    "num_heads": 2,
    "feed_forward_width": 16,
    "conv_widths": (16, 16),
    "conv_kernels": (64, 10),
    "conv_strides": (32, 10),
    "conv_norm": "layer",
    "position_kernel": 8,
    "position_groups": 2,
    "label_width": 8,
    "dropout": 0.0,
    "layer_drop": 0.0,
    "normalize": True,
}
INFO = TokenizerInfo("semantic", "tones", "f", 50.0, 1, 3, 16000)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Eight recordings of three tones in turn, and which tone each frame has."""
    root = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    wav_scp, labels = [], {}
    for number in range(8):
        length = 30 + 5 * number  # frames
        tone = (np.arange(length) // 4 + number) % 3
        pitch = np.repeat(np.array([300, 1200, 3000])[tone], 320)
        wav = 0.3 * np.sin(np.cumsum(2 * np.pi * pitch / 16000)) + 0.01 * rng.standard_normal(len(pitch))
        utt = f"u{number}"
        write_audio(root / f"{utt}.wav", np.append(wav, np.zeros(100)).astype(np.float32), 16000)
        wav_scp.append(f"{utt} {root / utt}.wav\n")
        labels[utt] = tone
    (root / "wav.scp").write_text("".join(wav_scp))
    return root, labels


def build(**settings):
    torch.manual_seed(0)
    return build_hubert_pretraining(HubertPretrainingConfig(**{**TINY, **settings}), 3, sample_rate=16000)


def dataset(tones, model=None, crop_seconds=0.5, normalize=True):
    root, labels = tones
    options = {"crop_seconds": crop_seconds, "normalize": normalize}
    return make_dataset(Utterances(root, 16000), labels, model or build(), **options)


def test_an_example_is_a_crop_in_whole_frames_with_its_labels(tones):
    data = dataset(tones)
    item = data[SeededIndex(7, (0, 0, 7))]
    left, right = frame_padding(build().hubert.config)[1]
    assert len(item["labels"]) == len(item["mask"]) == 25 and len(item["wav"]) == 25 * 320 + left + right
    wav = data.utterances.read("u7")
    wav = (wav - wav.mean()) / np.sqrt(wav.var() + 1e-7)
    inside = item["wav"][left : len(item["wav"]) - right].numpy()
    starts = [s for s in range(0, 41) if np.allclose(wav[s * 320 : (s + 25) * 320], inside, atol=1e-5)]
    assert len(starts) == 1
    assert np.array_equal(item["labels"].numpy(), tones[1]["u7"][starts[0] : starts[0] + 25])


def test_without_normalisation_the_same_crop_is_decoded_and_nothing_else(tones, monkeypatch):
    whole, data, decoded, read = dataset(tones), dataset(tones, normalize=False), [], audio.read_blocks
    monkeypatch.setattr(audio, "read_blocks", lambda file, number: decoded.append(number) or read(file, number))
    samples = len(data.utterances.read("u7"))
    for seed in range(5):
        expected, item = (each[SeededIndex(7, (0, 0, seed))] for each in (whole, data))
        assert torch.equal(item["labels"], expected["labels"]) and torch.equal(item["mask"], expected["mask"])
        inside = expected["wav"] != 0
        assert np.corrcoef(item["wav"][inside], expected["wav"][inside])[0, 1] > 0.999
    assert decoded == [samples] + [samples, 25 * 320] * 5


def test_all_chance_is_the_draws(tones):
    data = dataset(tones)
    once, again, other = (data[SeededIndex(7, seed)] for seed in ((0, 1, 7), (0, 1, 7), (0, 2, 7)))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["wav"], other["wav"])


def test_durations_are_those_of_the_examples(tones):
    assert dataset(tones).durations.max() == 0.5 and dataset(tones, crop_seconds=0.65).durations.min() < 0.65


def test_a_batch_of_equal_lengths_needs_no_lengths(tones):
    data = dataset(tones)
    assert data.collate([data[SeededIndex(i, (0, 0, i))] for i in (0, 1)])["lengths"] is None
    data = dataset(tones, crop_seconds=5.0)
    batch = data.collate([data[SeededIndex(i, (0, 0, i))] for i in (0, 1)])
    assert batch["lengths"].tolist() == [30 * 320 + 32, 35 * 320 + 32]
    assert batch["labels"][0, 30:].tolist() == [-1] * 5 and not batch["mask"][0, 30:].any()


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_loss_equals_a_slow_twin(tones, weight):
    model = build().eval()
    data = dataset(tones, model, crop_seconds=5.0)
    batch = data.collate([data[SeededIndex(i, (0, 0, i))] for i in range(3)])
    loss = HubertStep(model, unmasked_weight=weight).loss("model", {"model": model}, batch)
    masked, seen = [], []
    for row in range(3):
        valid = batch["labels"][row] >= 0
        count = int(valid.sum())
        wav = batch["wavs"][row : row + 1, : int(batch["lengths"][row])]
        mask = batch["mask"][row : row + 1, :count]
        logits = model(wav, mask=mask, predict=torch.ones_like(mask)).logits
        for t in range(count):
            surprise = -math.log(logits[t].softmax(0)[batch["labels"][row, t]].item())
            (masked if mask[0, t] else seen).append(surprise)
    expected = sum(masked) + weight * sum(seen) * len(masked) / len(seen)
    assert loss.total.item() == pytest.approx(expected, rel=1e-3) and int(loss.weight) == len(masked)


def test_masked_tones_are_learnt_from_their_neighbours_and_the_directory_loads(tones, tmp_path):
    root, labels = tones
    trainer = TrainerConfig(
        max_steps=150, batch_size=8, learning_rate=1e-2, warmup_steps=10, valid_every=150, log_every=50, save_every=150
    )
    config = {
        "model": HubertPretrainingConfig(**TINY, mask_span=2, unmasked_weight=1.0),
        "data": HubertDataConfig(crop_seconds=0.5),
        "training": trainer,
    }
    run = TrainingRun(root, root, tmp_path / "exp", config, ["test"])
    pretrain_hubert(run, labels={root: labels}, label_info=INFO)
    lines = [json.loads(line) for line in (tmp_path / "exp" / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["set"] == "valid"][-1]
    assert last["unmasked_accuracy"] > 0.9 and last["masked_accuracy"] > 0.6
    hubert = HubertModel.from_pretrained(tmp_path / "exp" / "hubert")
    assert hubert.config.hidden_size == 16
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "exp" / "hubert")
    assert extractor.do_normalize and extractor.sampling_rate == 16000 and extractor.return_attention_mask


def test_utterances_without_labels_are_left_out(tones, tmp_path):
    root, labels = tones
    some = {utt: of_utt for utt, of_utt in labels.items() if utt != "u3"}
    once = {"max_steps": 1, "batch_size": 2, "valid_every": 1, "log_every": 1, "save_every": 1}
    config = {
        "model": HubertPretrainingConfig(**TINY),
        "data": HubertDataConfig(crop_seconds=0.5),
        "training": TrainerConfig(**once),
    }
    run = TrainingRun(root, root, tmp_path / "exp", config, ["test"])
    pretrain_hubert(run, labels={root: some}, label_info=INFO)
    assert (tmp_path / "exp/hubert/model.safetensors").is_file()


def test_labels_at_another_rate_are_refused(tones, tmp_path):
    root, labels = tones
    config = {
        "model": HubertPretrainingConfig(**TINY), "data": HubertDataConfig(), "training": TrainerConfig(batch_size=2),
    }  # fmt: skip
    with pytest.raises(ValueError, match="come 100 times a second, but model.conv_strides make 50 frames a second"):
        pretrain_hubert(
            TrainingRun(root, root, tmp_path, config, []),
            labels={root: labels},
            label_info=TokenizerInfo("semantic", "fast", "f", 100.0, 1, 3, 16000),
        )


def test_labels_of_other_recordings_are_refused(tones):
    root, labels = tones
    short = {**labels, "u3": labels["u3"][:-2]}
    data = make_dataset(Utterances(root, 16000), short, build(), crop_seconds=1.0, normalize=True)
    with pytest.raises(ValueError, match="u3: 43 labels, but the recording has 45 frames of 320 samples"):
        data[SeededIndex(3, (0,))]
    with pytest.raises(ValueError, match="u3 \\(and 0 more\\) have no labels"):
        missing = {utt: tone for utt, tone in labels.items() if utt != "u3"}
        make_dataset(Utterances(root, 16000), missing, build(), crop_seconds=1.0, normalize=True)
