"""Training of Tacotron 2's feature network, and of WaveNet on what that predicts."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from accelerate import PartialState

from soundstorm.data.audio import Utterances, resample
from soundstorm.data.datasets.spoken_texts_dataset import SpokenTexts, normal_values, read_speakers
from soundstorm.data.datasets.waves_with_features_dataset import WavesWithFeatures
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import (
    MODEL_FILE,
    SECONDS_BETWEEN_LOOKS,
    config_section,
    is_first_process,
    start_experiment,
)
from soundstorm.data.feature_parts import FeatureParts, whole_batches
from soundstorm.data.mel_features import MelConfig, mel_features
from soundstorm.data.sampler import SeededIndex
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
CPU_BATCH, GPU_BATCH = 16, 128  # utterances predicted together


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
    voices = _voices_of(run.data_dirs, data, mel, load_speaker_model, run.expdir)
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
    state = PartialState(cpu=not torch.cuda.is_available())  # as the trainer's
    network, mel = load_feature_network(features, state.device)
    hop = int(np.prod(model.upsampling))
    if hop != mel.hop:
        raise InputError(
            f"wavenet.upsampling {model.upsampling} makes {hop} samples of a frame, expected mel.hop of {features}, "
            f"{mel.hop}"
        )
    data = config_section(features, "data", SpokenTextsConfig)
    start_experiment(run.expdir, {"kind": "tacotron2", "mel": mel, **run.config}, run.command)
    voices = _voices_of(run.data_dirs, data, mel, load_speaker_model, features, network)
    made_by = hashlib.sha256(Path(features, MODEL_FILE).read_bytes()).hexdigest()
    sets = []
    for name, directory, speakers in zip(("train", "valid"), run.data_dirs, voices, strict=True):
        texts = _texts(directory, data, mel, network.config.reduction, speakers)
        of = (
            _predictions(network, made_by, texts, run.expdir / "predicted" / name, state)
            if model.features == "predicted"
            else None
        )
        sets.append(
            WavesWithFeatures(
                Utterances(directory, mel.sample_rate, lower=True), of or _true_features(network, texts), texts.ids,
                hop=mel.hop, crop_frames=model.crop_frames, context=CONTEXT,
            )
        )  # fmt: skip
    del network  # and its memory on the device
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
    features: str | Path,
    network: FeatureNetwork | None = None,
) -> list[Speakers | None]:
    """Embeddings of the voices of each directory; None where the first one, or the network, has one voice.

    The first process makes them once, below ``voices`` of the experiment of the feature network; others wait for it.
    """
    sets = [Utterances(directory, mel.sample_rate, lower=True) for directory in directories]
    tables = [read_speakers(each.data_dir, list(each.ids)) for each in sets]
    several = len(set(tables[0].values())) > 1
    if network is not None:
        several = network.tacotron2.spk_embed_dim is not None
    if not several:
        return [None] * len(tables)
    chosen: dict[str, list[tuple[str, Utterances]]] = {}
    for utterances, table in zip(sets, tables, strict=True):
        for utt, speaker in table.items():
            if len(chosen.setdefault(speaker, [])) < UTTERANCES_OF_VOICE:
                chosen[speaker].append((utt, utterances))
    told = {name: [(utt, *of.sources([utt])) for utt, of in heard] for name, heard in chosen.items()}
    inputs = _digest(data.speaker_model, mel.sample_rate, told)
    kept = FeatureParts(Path(features, "voices", inputs[:16]))  # trainings on other data may be waiting for theirs
    while (voices := kept.read(0, inputs)) is None:
        if not is_first_process():
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        speaker_model = load_speaker_model(data.speaker_model)
        made = {
            name: _voice([utterances.read(utt) for utt, utterances in heard], mel, speaker_model)
            for name, heard in chosen.items()
        }
        kept.write(0, inputs, made)
    return [{name: voices[name] for name in table.values()} for table in tables]


def _digest(*inputs: object) -> str:
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _voice(wavs: list[np.ndarray], mel: MelConfig, speaker_model: SpeakerModel) -> np.ndarray:
    rate = speaker_model.sample_rate
    vectors = [speaker_model(resample(wav, mel.sample_rate, rate)) for wav in wavs]
    return np.mean(vectors, axis=0).astype(np.float32)


def _true_features(network: FeatureNetwork, texts: SpokenTexts) -> Callable[[str], np.ndarray]:
    mean, deviation = network.mean.cpu().numpy(), network.deviation.cpu().numpy()
    return lambda utt: (mel_features(texts.utterances.read(utt), texts.mel) - mean) / deviation


def _predictions(
    network: FeatureNetwork, made_by: str, texts: SpokenTexts, place: Path, state: PartialState
) -> Callable[[str], np.ndarray]:
    """Frames as the network predicts them when it is told the true ones before, made once in parts.

    Each process makes its share of the parts and waits for the others'. The pre-net's dropout begins anew with each
    part: those that an interrupt left are kept, and the rest become what they would have been.
    """
    together = CPU_BATCH if state.device.type == "cpu" else GPU_BATCH
    order = texts.durations.argsort(kind="stable").tolist()
    batches = [order[start : start + together] for start in range(0, len(order), together)]
    parts, kept = list(whole_batches(batches, texts.durations, FeatureParts.seconds)), FeatureParts(place)
    told = list(zip(texts.ids, texts.utterances.sources(texts.ids)))
    voices = {utt: vector.tolist() for utt, vector in (texts.speakers or {}).items()}
    inputs = [
        _digest(made_by, [(*told[i], texts.text[told[i][0]].tolist(), voices.get(told[i][0])) for i in part])
        for part in parts
    ]
    for number in range(state.process_index, len(parts), state.num_processes):
        if kept.read(number, inputs[number], []) is not None:
            continue
        logger.info("predicting, told the frames before: part %d of %d of %s", number + 1, len(parts), place)
        torch.manual_seed(number)
        predicted, part = {}, parts[number]
        for start in range(0, len(part), together):
            predicted |= predict(network, texts, part[start : start + together])
        kept.write(number, inputs[number], predicted)
    for number in range(len(parts)):
        while kept.read(number, inputs[number], []) is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    where = {texts.ids[index]: number for number, part in enumerate(parts) for index in part}
    return lambda utt: kept.read(where[utt], inputs[where[utt]], [utt])[utt]


@torch.no_grad()
def predict(network: FeatureNetwork, texts: SpokenTexts, chosen: Sequence[int]) -> dict[str, np.ndarray]:
    """Utterances, by their number, to predicted frames ``(T, M)``, normalised."""
    batch = texts.collate([texts[SeededIndex(index, ())] for index in chosen])
    batch = {name: value.to(network.mean.device) for name, value in batch.items()}
    frames = network.normalize(batch["features"])
    out = network(batch["text"], batch["text_lengths"], frames, batch["lengths"], batch.get("speakers"))
    rows = zip(chosen, out.after.cpu().numpy(), batch["lengths"].tolist(), strict=True)
    return {texts.ids[index]: frames[:length] for index, frames, length in rows}
