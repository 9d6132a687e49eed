"""From transcribed data directories to a trained recogniser, and back to a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.audio import Utterances
from soundstorm.data.datasets.dataset_configs import AugmentConfig
from soundstorm.data.experiment import config_section, load_weights, read_config, start_experiment
from soundstorm.data.pack import part_of
from soundstorm.models.recognizer import HOP, SAMPLE_RATE, LogMel, Recognizer, build_vocabulary, stack_frames
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.config import TrainerConfig
from soundstorm.training.recognizer_step import RecognizerDataset, RecognizerStep
from soundstorm.training.trainer import train


def train_recognizer(
    train_data: str,
    valid_data: str,
    *,
    texts: Mapping[str, Mapping[str, str]],
    expdir: Path,
    model_config: RecognizerConfig,
    augment_config: AugmentConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train a CTC recogniser.

    Args:
        train_data: data directory of original recordings.
        valid_data: another, to watch the training.
        texts: for each of the two directories, utterance to normalised text.
        expdir: experiment directory.
        model_config: of the network.
        augment_config: of the spectra.
        trainer_config: of the loop.
        command: for the record.
    """
    vocabulary = build_vocabulary(texts[train_data].values())
    start_experiment(
        expdir,
        {
            "model": model_config,
            "augment": augment_config,
            "training": trainer_config,
            "data": {"train_data": train_data, "valid_data": valid_data},
            "vocabulary": vocabulary,
        },
        command,
    )
    torch.manual_seed(trainer_config.seed)
    model = Recognizer(model_config, len(vocabulary))

    def dataset(data_dir: str, augmentation: AugmentConfig | None) -> RecognizerDataset:
        utterances = Utterances(data_dir, SAMPLE_RATE, lower=True)
        return RecognizerDataset(utterances, texts[data_dir], vocabulary, model_config, augmentation)

    step = RecognizerStep(model, vocabulary)
    train(step, dataset(train_data, augment_config), dataset(valid_data, None), trainer_config, expdir)


@dataclass(frozen=True)
class TrainedRecognizer:
    """What scoring needs of a trained recogniser.

    Attributes:
        sample_rate: Hz.
        vocabulary: character to column.
        log_probabilities: samples (S,) to float32 (T, V).
    """

    sample_rate: int
    vocabulary: dict[str, int]
    log_probabilities: Callable[[np.ndarray], np.ndarray]


def load_recognizer(expdir: str | Path, *, device: str = "cpu") -> TrainedRecognizer:
    """The recogniser of an experiment directory.

    Raises:
        FileNotFoundError: not an experiment directory, or training has not finished.
        ValueError: an experiment of another kind.
    """
    expdir = part_of(expdir, "recognizer")
    config = read_config(expdir)
    if "vocabulary" not in config:
        raise ValueError(f"{expdir}: not a recogniser, its config.yaml has sections {sorted(config)}")
    model_config, vocabulary = config_section(expdir, "model", RecognizerConfig), config["vocabulary"]
    columns = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    if sorted(map(str, columns)) != sorted(map(str, range(len(columns)))) or not {"<blank>", "|"} <= set(vocabulary):
        raise ValueError(f"{expdir}/config.yaml: vocabulary does not number characters with <blank> and | from 0")
    model = Recognizer(model_config, len(vocabulary))
    load_weights(expdir, model)
    model.to(device).eval()
    log_mel = LogMel(model_config.num_mels)

    @torch.inference_mode()
    def log_probabilities(wav: np.ndarray) -> np.ndarray:
        # A recording too short for a frame is silence to the recogniser, not an error.
        wav = np.pad(wav, (0, max(0, model_config.stack * HOP - len(wav)))).astype(np.float32)
        frames = stack_frames(log_mel(torch.from_numpy(wav)), model_config.stack)[None].to(device)
        logits = model(frames, torch.tensor([frames.shape[1]], device=device))
        return logits[0].float().log_softmax(-1).cpu().numpy()

    return TrainedRecognizer(SAMPLE_RATE, vocabulary, log_probabilities)
