"""Tacotron 2 at work: text to spectra, spectra to samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.audio import resample
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.mel_features import MelConfig, griffin_lim, mel_features
from soundstorm.data.text import ByteTokenizer
from soundstorm.decoding.acoustic_generator import SpokenText, stage_place
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.tacotron2_kind import Tacotron2SamplingConfig
from soundstorm.models.attention_figures import attention_figures
from soundstorm.models.feature_network import FeatureNetwork, Spoken, load_feature_network, load_speakers
from soundstorm.models.tacotron2_config import (
    FEATURES,
    WAVENET,
    SpokenTextsConfig,
    WaveNetConfig,
)
from soundstorm.models.wavenet import WaveNet
from soundstorm.models.wavenet_generation import generate


def load_wavenet(expdir: str | Path, device: str = "cpu") -> WaveNet:
    """The vocoder of an experiment, in evaluation mode, with averaged weights."""
    network = WaveNet(
        config_section(expdir, "model", WaveNetConfig), config_section(expdir, "mel", MelConfig).num_mels
    )
    load_weights(expdir, network)
    return network.to(device).eval()


class Tacotron2Reader:
    """Feature network and vocoder; the voice is a prompt's, or, without one, that of a speaker drawn by the seed."""

    def __init__(
        self,
        network: FeatureNetwork,
        mel: MelConfig,
        load_vocoder: Callable[[], WaveNet],
        *,
        lowercase: bool = True,
        speakers: dict[str, Tensor] | None = None,
        speaker_model: Any = None,
    ):
        """
        Args:
            network: in evaluation mode.
            mel: of its spectra.
            load_vocoder: called when one is needed.
            lowercase: of the texts it was trained on.
            speakers: embeddings of those it was trained on, by name; None for one voice.
            speaker_model: embeds prompts; not needed for one voice.
        """
        self.network, self.mel, self._load_vocoder = network, mel, load_vocoder
        self.tokenizer = ByteTokenizer(lowercase=lowercase)
        self.speakers, self.speaker_model = speakers, speaker_model
        self.sample_rate = mel.sample_rate
        self.device = network.mean.device
        self._vocoder: WaveNet | None = None

    @classmethod
    def load(
        cls, place: str | Path, load_speaker_model: Callable[[str], Any], device: str = "cpu"
    ) -> Tacotron2Reader:
        """That of a system's directory."""
        features, wavenet = (stage_place(place, "tacotron2", stage) for stage in (FEATURES, WAVENET))
        network, mel = load_feature_network(features, device)
        data = config_section(features, "data", SpokenTextsConfig)
        speakers = load_speakers(features, device)
        speaker_model = None if speakers is None else load_speaker_model(data.speaker_model)
        return cls(
            network, mel, lambda: load_wavenet(wavenet, device), lowercase=data.lowercase, speakers=speakers,
            speaker_model=speaker_model,
        )  # fmt: skip

    def speak(
        self,
        texts: Sequence[str],
        config: Tacotron2SamplingConfig,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> list[SpokenText]:
        """See `TextReader.speak`."""
        stopwatch = stopwatch or Stopwatch()
        spoken = [
            self._frames(text, config, seed, prompt, stopwatch)
            for text, seed, prompt in zip(texts, seeds, prompts or [None] * len(texts), strict=True)
        ]
        features = [self.network.denormalize(each.frames) for each in spoken]
        if config.vocoder == WAVENET:
            samples = self._by_wavenet([each.frames for each in spoken], seeds, config.batch_size, stopwatch)
        else:
            samples = []
            for each, seed in zip(features, seeds, strict=True):
                with stopwatch.part("tacotron2_griffin_lim", len(each) / self.mel.frame_rate):
                    samples.append(griffin_lim(each.cpu().numpy(), self.mel, seed=seed))
        return [
            SpokenText(wav, each.attention.cpu().numpy(), _figures(each))
            for wav, each in zip(samples, spoken, strict=True)
        ]

    def _frames(
        self,
        text: str,
        config: Tacotron2SamplingConfig,
        seed: int,
        prompt: np.ndarray | None,
        stopwatch: Stopwatch,
    ) -> Spoken:
        ids = torch.from_numpy(self.tokenizer.encode(text)).to(self.device)
        shown, speaker = None, self._speaker(seed, prompt)
        if prompt is not None:
            shown = self.network.normalize(torch.from_numpy(mel_features(prompt, self.mel)).to(self.device))
        longest = round(config.max_seconds * self.mel.frame_rate) + (0 if shown is None else len(shown))
        longest = max(longest, self.network.config.reduction)
        with torch.random.fork_rng(), stopwatch.part("tacotron2_features", 0.0):
            torch.manual_seed(seed)  # of the pre-net's dropout
            spoken = self.network.generate(
                ids, speaker, prompt=shown, max_frames=longest, threshold=config.stop_threshold,
                window=tuple(config.attention_window) or None,
            )  # fmt: skip
        stopwatch.parts["tacotron2_features"]["audio_seconds"] += len(spoken.frames) / self.mel.frame_rate
        stopwatch.counts["passes"] += len(spoken.frames) // self.network.config.reduction
        return spoken

    def _speaker(self, seed: int, prompt: np.ndarray | None) -> Tensor | None:
        if self.speakers is None:
            return None
        if prompt is None:
            names = sorted(self.speakers)
            return self.speakers[names[np.random.default_rng(seed).integers(len(names))]]
        heard = resample(prompt, self.sample_rate, self.speaker_model.sample_rate)
        return torch.from_numpy(self.speaker_model(heard).astype(np.float32)).to(self.device)

    def _by_wavenet(
        self, frames: list[Tensor], seeds: Sequence[int], batch_size: int, stopwatch: Stopwatch
    ) -> list[np.ndarray]:
        """Of like lengths together; what is shorter goes on with its last frame, and is cut."""
        self._vocoder = self._vocoder or self._load_vocoder()
        order = sorted(range(len(frames)), key=lambda index: len(frames[index]))
        made: dict[int, np.ndarray] = {}
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            longest = len(frames[batch[-1]])
            padded = [
                torch.cat([frames[index], frames[index][-1:].expand(longest - len(frames[index]), -1)])
                for index in batch
            ]
            seconds = sum(len(frames[index]) for index in batch) / self.mel.frame_rate
            with stopwatch.part("tacotron2_wavenet", seconds):
                samples = generate(self._vocoder, torch.stack(padded), [seeds[index] for index in batch])
            stopwatch.counts["passes"] += len(batch) * longest * self.mel.hop  # one for each sample
            for index, row in zip(batch, samples, strict=True):
                made[index] = row[: len(frames[index]) * self.mel.hop].cpu().numpy()
        return [made[index] for index in range(len(frames))]


def _figures(spoken: Spoken) -> dict[str, float]:
    return attention_figures(spoken.attention) | {"stopped": float(spoken.stopped)}
