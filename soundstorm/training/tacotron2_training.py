"""Training of Tacotron 2's feature network, and of WaveNet on what that predicts."""

import fcntl
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import kaldiio
import numpy as np
import torch

from soundstorm.data.audio import Utterances, resample
from soundstorm.data.datasets.spoken_texts_dataset import SpokenTexts, normal_values, read_speakers
from soundstorm.data.datasets.waves_with_features_dataset import WavesWithFeatures
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, is_first_process, start_experiment
from soundstorm.data.mel_features import MelConfig, mel_features
from soundstorm.data.text import ByteTokenizer
from soundstorm.models.feature_network import FeatureNetwork, load_feature_network
from soundstorm.models.tacotron2_config import SPEAKERS_FILE, FeatureSizes, SpokenTextsConfig
from soundstorm.models.wavenet import CONTEXT, WaveNet
from soundstorm.training.checkpoint import save_tensors
from soundstorm.training.tacotron2_step import Tacotron2Step
from soundstorm.training.training_run import TrainingRun
from soundstorm.training.wavenet_step import WaveNetStep

logger = logging.getLogger(__name__)
UTTERANCES_OF_VOICE = 10  # whose embeddings are averaged
PREDICTED_TOGETHER = 16  # utterances


class SpeakerModel(Protocol):
    """Recording to speaker embedding, as scoring has them."""

    sample_rate: int  # Hz

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """Embed float32 (S,) as float32 (D,)."""
        ...


Speakers = Mapping[str, np.ndarray]  # name -> embedding (D,)


def train_features(run: TrainingRun, *, load_speaker_model: Callable[[str], SpeakerModel]) -> None:
    """Train the feature network on ``wav.scp``, ``text`` and ``utt2spk``.

    Args:
        run: with sections ``mel``, ``model``, ``loss`` and ``data``.
        load_speaker_model: by its name; called for a corpus of several voices.
    """
    config, data, mel = run.config, run.config["data"], run.config["mel"]
    if run.is_finished():
        return
    voices = _voices_of(run.data_dirs, data, mel, load_speaker_model)
    size = 0 if voices[0] is None else len(next(iter(voices[0].values())))
    tokenizer = ByteTokenizer(lowercase=data.lowercase)
    sizes = FeatureSizes(tokenizer.vocab_size, size)
    start_experiment(run.expdir, {"kind": "tacotron2", **config, "sizes": sizes}, run.command)
    if voices[0] is not None and is_first_process():
        embeddings = {name: torch.from_numpy(vector) for name, vector in voices[0].items()}
        save_tensors(run.expdir / SPEAKERS_FILE, embeddings)
    sets = [
        _texts(directory, data, mel, config["model"].reduction, speakers)
        for directory, speakers in zip(run.data_dirs, voices, strict=True)
    ]
    torch.manual_seed(config["training"].seed)
    model = FeatureNetwork(
        config["model"], text_size=sizes.text_size, num_mels=mel.num_mels, speaker_size=sizes.speaker_size
    )
    mean, deviation = normal_values(sets[0])
    model.mean.copy_(torch.from_numpy(mean))
    model.deviation.copy_(torch.from_numpy(deviation))
    run.train(Tacotron2Step(model, config["loss"]), *sets)


def train_wavenet(
    run: TrainingRun, *, features: str | Path, load_speaker_model: Callable[[str], SpeakerModel]
) -> None:
    """Train WaveNet on ``wav.scp``, ``text`` and ``utt2spk``.

    Args:
        run: with section ``model``.
        features: experiment of the feature network.
        load_speaker_model: by its name; called for a corpus of several voices.

    Raises:
        ValueError: a frame of the features has another number of samples.
    """
    model = run.config["model"]
    if run.is_finished():
        return
    network, mel = load_feature_network(features)
    hop = int(np.prod(model.upsampling))
    if hop != mel.hop:
        raise InputError(
            f"wavenet.upsampling {model.upsampling} makes {hop} samples of a frame, expected mel.hop of {features}, "
            f"{mel.hop}"
        )
    data = config_section(features, "data", SpokenTextsConfig)
    start_experiment(run.expdir, {"kind": "tacotron2", "mel": mel, **run.config}, run.command)
    voices = _voices_of(run.data_dirs, data, mel, load_speaker_model, network)
    sets = []
    for name, directory, speakers in zip(("train", "valid"), run.data_dirs, voices, strict=True):
        texts = _texts(directory, data, mel, network.config.reduction, speakers)
        of = (
            _predictions(network, texts, run.expdir / f"predicted.{name}")
            if model.features == "predicted"
            else None
        )
        sets.append(
            WavesWithFeatures(
                Utterances(directory, mel.sample_rate, lower=True), of or _true_features(network, texts), texts.ids,
                hop=mel.hop, crop_frames=model.crop_frames, context=CONTEXT,
            )
        )  # fmt: skip
    torch.manual_seed(run.config["training"].seed)
    run.train(WaveNetStep(WaveNet(model, mel.num_mels)), *sets)


def _texts(
    directory: str | Path, data: SpokenTextsConfig, mel: MelConfig, reduction: int, speakers: Speakers | None
) -> SpokenTexts:
    return SpokenTexts(
        directory, ByteTokenizer(lowercase=data.lowercase), mel, reduction=reduction, speakers=speakers,
        min_seconds=data.min_seconds, max_seconds=data.max_seconds,
    )  # fmt: skip


def _voices_of(
    directories: tuple[str | Path, ...],
    data: SpokenTextsConfig,
    mel: MelConfig,
    load_speaker_model: Callable[[str], SpeakerModel],
    network: FeatureNetwork | None = None,
) -> list[Speakers | None]:
    """Embeddings of the voices of each directory; None where the first one, or the network, has one voice."""
    sets = [Utterances(directory, mel.sample_rate, lower=True) for directory in directories]
    tables = [read_speakers(each.data_dir, list(each.ids)) for each in sets]
    several = len(set(tables[0].values())) > 1
    if network is not None:
        several = network.tacotron2.spk_embed_dim is not None
    if not several:
        return [None] * len(tables)
    speaker_model = load_speaker_model(data.speaker_model)
    voices = []
    for utterances, table in zip(sets, tables, strict=True):
        of_speaker: dict[str, list[str]] = {}
        for utt, speaker in table.items():
            of_speaker.setdefault(speaker, []).append(utt)
        voices.append({
            name: _voice([utterances.read(utt) for utt in utts[:UTTERANCES_OF_VOICE]], mel, speaker_model)
            for name, utts in of_speaker.items()
        })  # fmt: skip
    return voices


def _voice(wavs: list[np.ndarray], mel: MelConfig, speaker_model: SpeakerModel) -> np.ndarray:
    rate = speaker_model.sample_rate
    vectors = [speaker_model(resample(wav, mel.sample_rate, rate)) for wav in wavs]
    return np.mean(vectors, axis=0).astype(np.float32)


def _true_features(network: FeatureNetwork, texts: SpokenTexts) -> Callable[[str], np.ndarray]:
    mean, deviation = network.mean.numpy(), network.deviation.numpy()
    return lambda utt: (mel_features(texts.utterances.read(utt), texts.mel) - mean) / deviation


def _predictions(network: FeatureNetwork, texts: SpokenTexts, place: Path) -> Callable[[str], np.ndarray]:
    """Frames as the network predicts them when it is told the true ones before, written once to ``<place>.ark``.

    Of several processes the first to come writes, the others wait.
    """
    scp, ark = Path(f"{place}.scp"), Path(f"{place}.ark")
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not scp.exists():
            logger.info("predicting %d utterances, told the frames before: %s", len(texts), ark)
            partial = Path(f"{place}.partial")
            with kaldiio.WriteHelper(f"ark,scp:{ark},{partial}") as writer:
                for utt, frames in predict(network, texts):
                    writer(utt, frames)
            os.replace(partial, scp)
    return kaldiio.load_scp(str(scp)).__getitem__


@torch.no_grad()
def predict(network: FeatureNetwork, texts: SpokenTexts):
    """Utterance and predicted frames ``(T, M)``, normalised; the pre-net's dropout begins at seed 0."""
    torch.manual_seed(0)
    order = sorted(range(len(texts)), key=lambda index: texts.durations[index])
    for start in range(0, len(order), PREDICTED_TOGETHER):
        chosen = [texts.ids[index] for index in order[start : start + PREDICTED_TOGETHER]]
        items = [
            {"text": texts.text[utt], "features": texts.features(utt)}
            | ({} if texts.speakers is None else {"speakers": texts.speakers[utt]})
            for utt in chosen
        ]
        batch = texts.collate(items)
        frames = network.normalize(batch["features"])
        out = network(batch["text"], batch["text_lengths"], frames, batch["lengths"], batch.get("speakers"))
        for utt, predicted, length in zip(chosen, out.after, batch["lengths"].tolist(), strict=True):
            yield utt, predicted[:length].numpy()
