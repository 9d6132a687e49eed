import numpy as np
import torch
from transformers import HubertConfig, HubertModel

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.models.consistency import load_consistency
from soundstorm.models.consistency_config import ConsistencyConfig
from soundstorm.training.consistency_training import train_consistency
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun

torch.set_num_threads(1)


def make_data(folder, num_utterances, seed):
    """Every recording has its own hum, so that two crops of it belong together."""
    generator = np.random.default_rng(seed)
    folder.mkdir()
    lines = []
    for i in range(num_utterances):
        phase = 2 * np.pi * np.arange(16000) / 16000
        wav = 0.2 * sum(np.sin(phase * hertz) for hertz in generator.uniform(100, 5000, size=2))
        wav += 0.01 * generator.standard_normal(16000)
        write_audio(folder / f"s-{i:03d}.wav", wav.astype(np.float32), 16000)
        lines.append(f"s-{i:03d} {folder}/s-{i:03d}.wav\n")
    (folder / "wav.scp").write_text("".join(lines))
    return folder


def test_the_trained_network_knows_crops_of_one_recording(tmp_path):
    torch.manual_seed(0)
    HubertModel(
        HubertConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                     conv_dim=(24, 24), conv_kernel=(20, 16), conv_stride=(20, 16), feat_extract_norm="layer",
                     num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    ).save_pretrained(tmp_path / "hubert")  # fmt: skip
    config = {
        "model": ConsistencyConfig(layer=1, width=32, heads=2, embedding_dim=16, dropout=0.0),
        "crops": CropConfig(0.2, 0.4),
        "training": TrainerConfig(max_steps=60, batch_size=12, learning_rate=2e-3, warmup_steps=5, ema_decay=0.8),
    }
    data = make_data(tmp_path / "train", 24, 0), make_data(tmp_path / "valid", 8, 1)
    train_consistency(TrainingRun(*data, tmp_path / "exp", config, ["test"]), str(tmp_path / "hubert"))
    embed = load_consistency(tmp_path / "exp")
    utterances = Utterances(tmp_path / "valid", 16000)
    early, late = (
        np.stack([embed(utterances.read(utt_id)[part]) for utt_id in utterances.ids])
        for part in (slice(0, 6400), slice(9600, 16000))
    )
    similarity = early @ late.T
    assert (similarity.argmax(axis=1) == np.arange(8)).mean() >= 0.6
