"""Training and loading of the recogniser on a frozen HuBERT; its directory holds all it needs."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from soundstorm.data.audio import Utterances
from soundstorm.data.experiment import load_weights, start_experiment
from soundstorm.models.frame_ctc import FrameCtc
from soundstorm.models.recognizer import build_vocabulary
from soundstorm.models.recognizer_config import RecognizerConfig
from soundstorm.training.config import TrainerConfig
from soundstorm.training.frame_ctc_step import FeatureDataset, FrameCtcStep
from soundstorm.training.train_recognizer import SAMPLE_RATE, load_hubert
from soundstorm.training.trainer import train

MODEL_TYPE = "soundstorm-frame-ctc"


def train_frame_ctc(
    train_data: str,
    valid_data: str,
    *,
    texts: Mapping[str, Mapping[str, str]],
    hubert: str,
    expdir: Path,
    config: RecognizerConfig,
    trainer_config: TrainerConfig,
    command: list[str],
) -> None:
    """Train on original recordings and write ``expdir/hf``.

    Args:
        train_data, valid_data: data directories.
        texts: for each of them, utterance -> normalised text.
        hubert: local transformers directory or hub name.
        expdir: experiment directory.
        config: of the network.
        trainer_config: of the loop.
        command: for the record.
    """
    exported = expdir / "hf"
    if (exported / "config.json").is_file():
        return
    data = {"train_data": train_data, "valid_data": valid_data, "hubert": hubert}
    start_experiment(expdir, {"model": config, "training": trainer_config, "data": data}, command)
    network, _ = load_hubert(hubert)
    vocabulary = build_vocabulary(texts[train_data].values())
    torch.manual_seed(trainer_config.seed)
    sizes = {"layers": config.layers, "width": config.width, "blocks": config.blocks, "kernel": config.kernel}
    model = FrameCtc(network.config, len(vocabulary), **sizes)
    model.hubert.load_state_dict(network.state_dict())

    def dataset(data_dir: str, training: bool) -> FeatureDataset:
        utterances = Utterances(data_dir, SAMPLE_RATE)
        return FeatureDataset(utterances, texts[data_dir], vocabulary, model, config if training else None)

    step = FrameCtcStep(model, vocabulary)
    train(step, dataset(train_data, True), dataset(valid_data, False), trainer_config, expdir)
    load_weights(expdir, model)
    description = {
        "model_type": MODEL_TYPE,
        "vocabulary": vocabulary,
        "hubert": network.config.to_dict(),
        **{**sizes, "layers": list(config.layers)},
    }
    temporary = expdir / f".hf.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    save_file({name: value.clone().contiguous() for name, value in model.state_dict().items()},
              temporary / "model.safetensors")  # fmt: skip
    (temporary / "config.json").write_text(json.dumps(description, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(temporary, exported)


class LoadedFrameCtc:
    """What scoring wants of a CTC model."""

    sample_rate = SAMPLE_RATE

    def __init__(self, directory: str, device: str):
        description = json.loads((Path(directory) / "config.json").read_text(encoding="utf-8"))
        from transformers import HubertConfig

        self.name, self.vocabulary = directory, description["vocabulary"]
        sizes = {name: description[name] for name in ("width", "blocks", "kernel")}
        hubert = HubertConfig.from_dict(description["hubert"])
        model = FrameCtc(hubert, len(self.vocabulary), layers=tuple(description["layers"]), **sizes)
        model.load_state_dict(load_file(Path(directory) / "model.safetensors"))
        self.model, self.device = model.to(device).eval(), device

    @torch.inference_mode()
    def log_probabilities(self, wav: np.ndarray) -> np.ndarray:
        """``(T, V)`` of a recording ``(S,)``; padded where it is too short for a frame."""
        wav = np.pad(wav, (0, max(0, 4000 - len(wav))))
        logits, _ = self.model([self.model.features(torch.from_numpy(wav).to(self.device))])
        return logits[0].float().log_softmax(-1).cpu().numpy()


def load_frame_ctc(directory: str, device: str) -> LoadedFrameCtc | None:
    """The recogniser of a directory, or None if it holds a model of another kind."""
    path = Path(directory) / "config.json"
    if not path.is_file():
        return None
    if json.loads(path.read_text(encoding="utf-8")).get("model_type") != MODEL_TYPE:
        return None
    return LoadedFrameCtc(directory, device)
