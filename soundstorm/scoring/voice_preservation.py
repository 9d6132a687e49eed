"""Does what was generated sound like the speaker of the prompt? Cosine of speaker-verification embeddings."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from soundstorm.data.audio import num_samples
from soundstorm.data.errors import InputError
from soundstorm.scoring.measures import Measured, Pair, Remembered, cosine, is_silent


class SpeakerModel(Protocol):
    """Recording to speaker embedding."""

    name: str
    sample_rate: int  # Hz

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """Embed float32 (S,) as float32 (D,)."""
        ...


class VoicePreservation:
    """Similarity of a prompt to what follows it, and to nothing else: the prompt must not score itself.

    Two prompts are compared with the same remainder. `voice_preservation` takes the prompt as the codec gives
    it back, since that is the input of the system; it exists only where the output begins with the prompt.
    `voice_to_original` takes the original recording of the prompt; it exists for every system, so that a
    prompted one can be compared with an unprompted one.
    """

    def __init__(
        self,
        speaker: SpeakerModel,
        *,
        prompt_seconds: float,
        starts_with_prompt: bool,
        min_seconds: float = 1.0,
    ):
        """Set what is compared.

        Args:
            speaker: Speaker-verification model.
            prompt_seconds: Where every recording is cut, also an unprompted one: same words in every system.
            starts_with_prompt: Whether the output begins with the prompt (prompted systems, reference rows).
            min_seconds: Shorter remainders are not scored.
        """
        if prompt_seconds <= 0:
            raise InputError(
                f"score.prompt_seconds is {prompt_seconds}, expected more than 0 to cut a prompt"
            )
        self._speaker = speaker
        self._prompt_seconds = prompt_seconds
        self._starts_with_prompt = starts_with_prompt
        self._min_seconds = min_seconds

    def __call__(self, pair: Pair) -> Measured:
        """Compare; undefined where too little speech follows the prompt, or silence is to be compared."""
        if pair.sample_rate != self._speaker.sample_rate:
            raise InputError(
                f"{self._speaker.name} reads {self._speaker.sample_rate} Hz, but {pair.utt_id} has "
                f"{pair.sample_rate} Hz; resample the corpus in local/data.sh"
            )
        cut = num_samples(self._prompt_seconds, pair.sample_rate)
        prompts = {"voice_to_original": pair.original[:cut]}
        if self._starts_with_prompt:
            prompts["voice_preservation"] = pair.decoded[:cut]
        rest = pair.decoded[cut:]
        if len(rest) < num_samples(self._min_seconds, pair.sample_rate):
            return Measured(
                undefined=dict.fromkeys(prompts, f"less than {self._min_seconds:g} s follow the prompt")
            )
        if is_silent(rest):
            return Measured(undefined=dict.fromkeys(prompts, "what follows the prompt is silent"))
        if len(pair.original) < cut:
            return Measured(
                undefined=dict.fromkeys(prompts, f"recorded are less than {self._prompt_seconds:g} s")
            )
        undefined = {name: "the prompt is silent" for name, wav in prompts.items() if is_silent(wav)}
        remainder = self._speaker(rest)
        similar = {
            name: cosine(self._speaker(prompts[name]), remainder) for name in prompts if name not in undefined
        }
        return Measured({name: (value, 1.0) for name, value in similar.items()}, undefined=undefined)


def load_speaker_model(name: str, *, device: str = "cpu") -> SpeakerModel:
    """Load `resemblyzer`, whose weights come with the package, or a transformers x-vector model by name."""
    return CachedSpeakerModel(Resemblyzer(device) if name == "resemblyzer" else XVector(name, device))


class CachedSpeakerModel(Remembered):
    """A speaker model that embeds a recording once: all rows of a table have the same prompts."""

    capacity = 20_000  # embeddings of 1 KB

    def __init__(self, speaker: SpeakerModel):
        super().__init__(speaker)
        self.name, self.sample_rate = speaker.name, speaker.sample_rate


class Resemblyzer:
    """The GE2E encoder of the resemblyzer package."""

    name = "resemblyzer"
    sample_rate = 16000

    def __init__(self, device: str = "cpu"):
        try:
            import resemblyzer
        except ImportError as error:
            raise InputError(
                f"the speaker model resemblyzer cannot be imported ({error}); "
                f'run: pip install resemblyzer "setuptools<82"'
            ) from error
        self._package = resemblyzer
        self._encoder = resemblyzer.VoiceEncoder(device, verbose=False)

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """Embed after the package's own level and silence treatment."""
        speech = self._package.preprocess_wav(wav, source_sr=self.sample_rate)
        # Its voice detector takes some synthetic voices for silence.
        return self._encoder.embed_utterance(speech if len(speech) >= len(wav) // 4 else wav)


class XVector:
    """A transformers model with an x-vector head, such as microsoft/wavlm-base-plus-sv."""

    def __init__(self, name: str, device: str = "cpu"):
        from transformers import AutoFeatureExtractor, AutoModelForAudioXVector

        from soundstorm.models.hub import model_directory

        self.name, directory = name, model_directory(name)
        self._extractor = AutoFeatureExtractor.from_pretrained(directory)
        self.sample_rate = self._extractor.sampling_rate
        model = AutoModelForAudioXVector.from_pretrained(directory, use_safetensors=True)
        self._model = model.to(device).eval()

    def __call__(self, wav: np.ndarray) -> np.ndarray:
        """Embed one recording."""
        import torch

        inputs = self._extractor(wav, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.inference_mode():
            return self._model(**inputs.to(self._model.device)).embeddings[0].float().cpu().numpy()
