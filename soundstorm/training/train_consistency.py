"""From data directories and a self-supervised model to a trained acoustic consistency network, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.dataset_configs import CropConfig
from soundstorm.data.experiment import config_section, load_weights, start_experiment
from soundstorm.data.pack import own_ssl_model, part_of
from soundstorm.models.consistency import ConsistencyNetwork, EarlyLayers
from soundstorm.models.consistency_config import ConsistencyConfig
from soundstorm.models.ssl_model import load_ssl_model, normalize
from soundstorm.training.config import TrainerConfig
from soundstorm.training.consistency_step import ConsistencyStep, CropDataset
from soundstorm.training.trainer import train


@dataclass(frozen=True)
class DataSources:
    """What an experiment was trained on."""

    train_data: str
    valid_data: str
    ssl_model: str


def _build(
    config: ConsistencyConfig, ssl_model: str, *, local_only: bool = False
) -> tuple[ConsistencyNetwork, EarlyLayers, bool, int]:
    model, do_normalize, sample_rate = load_ssl_model(ssl_model, local_only=local_only)
    features = EarlyLayers(model, config.layer)
    network = ConsistencyNetwork(
        features.width,
        width=config.width,
        heads=config.heads,
        embedding_dim=config.embedding_dim,
        dropout=config.dropout,
    )
    return network, features, do_normalize, sample_rate


def train_consistency(
    train_data: str,
    valid_data: str,
    *,
    ssl_model: str,
    expdir: Path,
    model_config: ConsistencyConfig,
    crop_config: CropConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train the network on original recordings.

    Args:
        train_data: Data directory.
        valid_data: Another, to watch the training.
        ssl_model: Local transformers directory or hub name.
        expdir: Experiment directory.
        model_config: Of the network.
        crop_config: Of the crops.
        trainer_config: Of the loop.
        command: For the record.
    """
    sections = {"model": model_config, "crops": crop_config, "training": trainer_config}
    data = DataSources(str(train_data), str(valid_data), str(ssl_model))
    start_experiment(expdir, {**sections, "data": data}, command)
    torch.manual_seed(trainer_config.seed)
    network, features, do_normalize, sample_rate = _build(model_config, ssl_model)

    def dataset(data_dir: str) -> CropDataset:
        return CropDataset(Utterances(data_dir, sample_rate, lower=True), crop_config, do_normalize=do_normalize)

    train(ConsistencyStep(network, features), dataset(train_data), dataset(valid_data), trainer_config, expdir)


def load_consistency(expdir: str | Path, *, device: str = "cpu") -> Callable[[np.ndarray], np.ndarray]:
    """A trained network as a function from samples (S,) to an embedding (D,)."""
    expdir = part_of(expdir, "consistency")
    model_config = config_section(expdir, "model", ConsistencyConfig)
    source = own_ssl_model(expdir, config_section(expdir, "data", DataSources).ssl_model)
    try:
        network, features, do_normalize, _ = _build(model_config, source, local_only=True)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{expdir}/config.yaml names its self-supervised model: {error}") from error
    load_weights(expdir, network)
    network.to(device).eval()
    features.to(device)

    @torch.inference_mode()
    def embed(wav: np.ndarray) -> np.ndarray:
        samples = torch.from_numpy(normalize(wav) if do_normalize else wav).to(device)[None]
        length = torch.tensor([samples.shape[1]], device=device)
        return network(features(samples, length), features.num_frames(length))[0].cpu().numpy()

    return embed
