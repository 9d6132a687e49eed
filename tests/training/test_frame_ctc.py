"""The recogniser on a frozen HuBERT: learns, leaves the HuBERT alone, is saved and loaded, reads greedily."""

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_table
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.scoring.recognizers import load_recognizer
from soundstorm.training.config import TrainerConfig
from soundstorm.training.train_frame_ctc import load_frame_ctc, train_frame_ctc

TONES = {"a": 300, "b": 900, " ": 0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("frame_ctc")
    rng, texts = np.random.default_rng(0), {}
    (root / "data").mkdir()
    for i in range(12):
        text = " ".join("".join(rng.choice(["a", "b"], 2)) for _ in range(3))
        time = np.arange(3200) / 16000
        wav = np.concatenate([0.3 * np.sin(2 * np.pi * TONES[c] * time) for c in text for c in (c, " ")])
        texts[f"u{i:02d}"] = text
        write_audio(root / "wav" / f"u{i:02d}.wav", wav + 0.001 * rng.normal(size=len(wav)), 16000)
    write_table(root / "data/wav.scp", {u: str(root / "wav" / f"{u}.wav") for u in texts})
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    convolutions = dict(conv_dim=(16, 16), conv_kernel=(40, 16), conv_stride=(20, 16), feat_extract_norm="layer")
    positions = dict(num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    HubertModel(HubertConfig(**sizes, **convolutions, **positions)).save_pretrained(root / "hubert")
    config = RecognizerConfig(kind="frozen", layers=(0, 1), width=32, blocks=2, kernel=5, feature_noise=0.1)
    training = TrainerConfig(
        max_steps=150, batch_size=6, learning_rate=5e-3, warmup_steps=10, valid_every=150, save_every=150, ema_decay=0.9
    )
    data = str(root / "data")
    settings = dict(config=config, trainer_config=training, command=["test"])
    train_frame_ctc(data, data, texts={data: texts}, hubert=str(root / "hubert"), expdir=root / "exp", **settings)
    return root, texts


def test_it_learns_to_read_and_is_read_with_or_without_a_closed_vocabulary(trained):
    from soundstorm.data.audio import read_audio

    root, texts = trained
    write_table(root / "text", texts)
    wavs = [read_audio(root / "wav" / f"{utt}.wav", 16000) for utt in texts]
    name = str(root / "exp/hf")
    for prefix in ("", "closed:"):
        recognizer = load_recognizer(prefix + name, bigram_text=str(root / "text"), load_own=load_frame_ctc)
        transcripts = recognizer(wavs)
        right = [t.text == text for t, text in zip(transcripts, texts.values(), strict=True)]
        assert sum(right) >= 9, [t.text for t in transcripts]
        assert all(len(t.word_starts) == len(t.text.split()) for t in transcripts)


def test_the_hubert_stays_as_it_was(trained):
    root, _ = trained
    before = HubertModel.from_pretrained(root / "hubert").state_dict()
    after = load_frame_ctc(str(root / "exp/hf"), "cpu").model.hubert.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_other_directories_are_left_to_transformers(trained, tmp_path):
    root, _ = trained
    assert load_frame_ctc(str(root / "hubert"), "cpu") is None
    assert load_frame_ctc(str(tmp_path), "cpu") is None


def test_a_closed_vocabulary_without_text_is_refused(trained):
    with pytest.raises(ValueError, match="a closed vocabulary needs a text file"):
        load_recognizer(f"closed:{trained[0]}/exp/hf", load_own=load_frame_ctc)
