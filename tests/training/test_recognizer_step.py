import json

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.experiment import load_weights
from soundstorm.data.sampler import Draw
from soundstorm.models.recognizer import build_recognizer, build_vocabulary, encode_text
from soundstorm.models.recognizer_config import AugmentConfig, RecognizerConfig
from soundstorm.scoring.recognizers import load_recognizer
from soundstorm.training.config import TrainerConfig
from soundstorm.training.recognizer_step import (
    RecognizerDataset,
    RecognizerStep,
    augment,
    normalize,
    span_mask,
)
from soundstorm.training.train_recognizer import train_recognizer

torch.set_num_threads(1)
TONES = {"a": 300.0, "b": 1100.0, "c": 2500.0}


def tiny_hubert():
    torch.manual_seed(0)
    return HubertModel(
        HubertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            conv_dim=(16, 16, 16),
            conv_kernel=(10, 8, 8),
            conv_stride=(5, 8, 8),
            feat_extract_norm="layer",
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
        )
    )


def sing(text, generator):
    """Each letter is a tone, a space is silence: a language that a small network learns in seconds."""
    pieces = []
    for letter in text:
        length = int(generator.integers(1400, 1900))
        tone = (
            np.zeros(length) if letter == " " else 0.3 * np.sin(2 * np.pi * TONES[letter] * np.arange(length) / 16000)
        )
        pieces += [tone, np.zeros(300)]
    return np.concatenate(pieces).astype(np.float32)


def make_data(folder, num_utterances, seed):
    generator = np.random.default_rng(seed)
    folder.mkdir()
    lines, texts = [], {}
    for i in range(num_utterances):
        words = ["".join(generator.choice(list(TONES), size=generator.integers(1, 4))) for _ in range(3)]
        utt_id = f"s-{i:03d}"
        texts[utt_id] = " ".join(words)
        write_audio(folder / f"{utt_id}.wav", sing(texts[utt_id], generator), 16000)
        lines.append(f"{utt_id} {folder}/{utt_id}.wav\n")
    (folder / "wav.scp").write_text("".join(lines))
    return texts


def test_augmentation_is_a_function_of_its_generator():
    wav = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    first, second = (augment(wav, AugmentConfig(), np.random.default_rng(3)) for _ in range(2))
    assert first.dtype == np.float32 and np.array_equal(first, second)
    assert not np.array_equal(first, augment(wav, AugmentConfig(), np.random.default_rng(4)))


def test_no_augmentation_returns_the_recording():
    wav = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    off = AugmentConfig(speed=0.0, noise_probability=0.0, gain=0.0)
    assert np.allclose(augment(wav, off, np.random.default_rng(0)), wav, atol=1e-6)


def test_faster_speech_is_shorter():
    wav = np.ones(8000, dtype=np.float32)
    lengths = [len(augment(wav, AugmentConfig(speed=0.2), np.random.default_rng(i))) for i in range(20)]
    assert min(lengths) >= 8000 / 1.21 and max(lengths) <= 8000 / 0.79 and len(set(lengths)) > 5


def test_noise_has_the_ratio_that_was_asked_for():
    wav = np.sin(np.arange(16000) / 7).astype(np.float32)
    config = AugmentConfig(speed=0.0, noise_probability=1.0, noise_snr=(20.0, 20.0), gain=0.0)
    noise = augment(wav, config, np.random.default_rng(0)) - wav
    assert 10 * np.log10(np.mean(wav**2) / np.mean(noise**2)) == pytest.approx(20.0, abs=0.01)


def test_normalisation_is_that_of_transformers():
    from transformers import Wav2Vec2FeatureExtractor

    wav = np.random.default_rng(0).normal(0.1, 0.2, 3000).astype(np.float32)
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(wav, sampling_rate=16000).input_values[0]
    assert np.allclose(normalize(wav), theirs, atol=1e-5)


def test_the_mask_hides_about_the_share_that_was_asked_for():
    generator = np.random.default_rng(0)
    shares = [span_mask(400, 0.2, 5, generator).mean() for _ in range(50)]
    assert 0.14 < np.mean(shares) < 0.2  # spans overlap
    assert not span_mask(100, 0.0, 5, generator).any()


def test_dataset_keeps_only_utterances_with_text_and_collates_them(tmp_path):
    texts = make_data(tmp_path / "data", 3, seed=0)
    texts["s-001"] = ""
    vocabulary = build_vocabulary(texts.values())
    utterances = Utterances(tmp_path / "data", 16000)
    dataset = RecognizerDataset(
        utterances, texts, vocabulary, num_frames=lambda n: n // 320, mask_share=0.2, mask_span=3
    )
    assert dataset.ids == ["s-000", "s-002"] and len(dataset.durations) == 2
    items = [dataset[Draw(i, (0, i))] for i in range(2)]
    batch = dataset.collate(items)
    assert batch["wavs"].shape == (2, max(batch["lengths"]))
    assert batch["targets"].tolist() == encode_text(texts["s-000"], vocabulary) + encode_text(
        texts["s-002"], vocabulary
    )
    assert batch["mask"].shape == (2, max(batch["frames"])) and batch["mask"].dtype == torch.bool


def test_data_without_any_text_is_refused(tmp_path):
    make_data(tmp_path / "data", 2, seed=0)
    with pytest.raises(ValueError, match="none of 2 utterances has a text"):
        RecognizerDataset(Utterances(tmp_path / "data", 16000), {}, {}, num_frames=len)


def test_the_loss_of_a_batch_is_the_sum_over_its_utterances(tmp_path):
    texts = make_data(tmp_path / "data", 2, seed=0)
    vocabulary = build_vocabulary(texts.values())
    model = build_recognizer(tiny_hubert(), vocabulary, dropout=0.0).eval()
    dataset = RecognizerDataset(Utterances(tmp_path / "data", 16000), texts, vocabulary, num_frames=model.num_frames)
    step = RecognizerStep(model, vocabulary)
    items = [dataset[Draw(i, (0,))] for i in range(2)]
    together = step.loss("model", step.networks, dataset.collate(items))
    alone = [step.loss("model", step.networks, dataset.collate([item])) for item in items]
    assert together.total.item() == pytest.approx(sum(loss.total.item() for loss in alone), rel=1e-4)
    assert int(together.weight) == sum(len(text) for text in texts.values())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recogniser after three steps, with everything that made it."""
    folder = tmp_path_factory.mktemp("recognizer")
    train, valid = folder / "train", folder / "valid"
    texts = {str(train): make_data(train, 6, seed=0), str(valid): make_data(valid, 3, seed=1)}
    tiny_hubert().save_pretrained(folder / "hubert")

    def run():
        train_recognizer(
            str(train),
            str(valid),
            texts=texts,
            hubert=str(folder / "hubert"),
            expdir=folder / "exp",
            model_config=RecognizerConfig(adapter_layers=2, adapter_width=16, head_scale=3.0),
            augment_config=AugmentConfig(),
            trainer_config=TrainerConfig(max_steps=3, batch_size=3, ema_decay=0.5),
            command=["test"],
        )

    run()
    return folder, run


def test_a_trained_recogniser_loads_as_a_plain_transformers_model_and_reads_the_same(trained):
    folder, _ = trained
    hf = folder / "exp" / "hf"
    assert {"config.json", "model.safetensors", "vocab.json"} <= {path.name for path in hf.iterdir()}
    vocabulary = json.loads((hf / "vocab.json").read_text())
    model = build_recognizer(tiny_hubert(), vocabulary, adapter_layers=2, adapter_width=16, head_scale=3.0)
    load_weights(folder / "exp", model)
    wav = Utterances(folder / "valid", 16000).read("s-000")
    with torch.no_grad():
        numbers = model.eval()(torch.from_numpy(wav)[None], torch.tensor([len(wav)]))[0].argmax(-1).tolist()
    letters = {number: token for token, number in vocabulary.items()}
    read = [letters[n] for n, before in zip(numbers, [None, *numbers]) if n != before and letters[n] != "<pad>"]
    expected = " ".join("".join(read).replace("<unk>", " ").replace("|", " ").split())
    assert load_recognizer(str(hf))([wav])[0].text == expected


def test_training_again_changes_no_file(trained):
    folder, run = trained
    before = {path: path.stat().st_mtime_ns for path in (folder / "exp").rglob("*")}
    run()
    assert len(before) > 10 and before == {path: path.stat().st_mtime_ns for path in (folder / "exp").rglob("*")}
