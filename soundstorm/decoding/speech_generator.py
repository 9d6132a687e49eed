"""A trained model that speaks: words, scripts and other people's speech in a given voice.

    from soundstorm import SpeechGenerator

    tts = SpeechGenerator.from_pretrained("exp/pack")
    tts("Please open the window.", prompt="me.wav", seed=0).save("out.wav")
"""

from __future__ import annotations

import copy
import logging
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from soundstorm.data.data_dir_values import has_words
from soundstorm.data.errors import InputError
from soundstorm.data.pack import DECODING_FILE, can_be_on_hub, find_pack, how_to_get, open_pack
from soundstorm.data.records import LARGEST_INTEGER, make_record
from soundstorm.data.spoken_form import spoken_form
from soundstorm.data.text import TURN_MARKER, normalize_text
from soundstorm.decoding.acoustic_generator import load_generator, sampling_of, sampling_sections
from soundstorm.decoding.audiolm_generator import LanguageModel
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig
from soundstorm.decoding.dialogue import DialogueSynthesizer, Passage, join_prompts
from soundstorm.decoding.script import Turn, read_script_text
from soundstorm.decoding.semantic_continuation import continue_tokens, last_part, load_first_stage
from soundstorm.decoding.semantic_generator import load_semantic_generator, text_sampling_of, text_sampling_sections
from soundstorm.decoding.speech import Speech
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.voice_prompt import (
    SECONDS,
    Sound,
    load_prompt,
    long_enough,
    one_channel,
    prepare_prompt,
    read_sound,
    save_prompt,
)
from soundstorm.models.devices import choose_device
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.tokens.semantic import SemanticTokenizer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VoicePrompt:
    """A voice that was encoded once; made by :meth:`SpeechGenerator.prompt`."""

    passage: Passage
    maker: SpeechGenerator

    def save(self, path: str | Path) -> None:
        """Write it as safetensors; ``prompt="voice.safetensors"`` then speaks with it."""
        save_prompt(path, self.passage, *self.maker.infos)


# A recording's path, a saved prompt's (.safetensors), samples with their rate, or an encoded voice.
PromptLike = str | Path | tuple[np.ndarray, int] | VoicePrompt


class SpeechGenerator:
    """Text to semantic tokens, acoustic generator and codec, which speak together.

    ``sampling`` and ``text_sampling`` hold how tokens are chosen, ``numbers`` the language in which numbers and
    dates are spoken (None: they are left as they are); all may be replaced. What speaks takes a
    ``progress``: it is called with ``part``, ``segment``, ``segments``, ``level``, ``iteration`` and
    ``iterations`` (of each level), whichever are new, counted from 1; what it raises ends the work.
    """

    def __init__(
        self, synthesizer: DialogueSynthesizer, sampling: Any, text_sampling: Any, *, name: str
    ):
        """
        Args:
            synthesizer: the models.
            sampling: of acoustic tokens, of the acoustic generator's kind.
            text_sampling: of semantic tokens, of the semantic generator's kind.
            name: of the model, in what it makes.
        """
        self.synthesizer, self.name = synthesizer, name
        self.sampling, self.text_sampling = sampling, text_sampling
        self.numbers: str | None = None
        self.first_stage: Callable[[], LanguageModel] | None = None  # of AudioLM, see continue_
        self.semantic_temperature = AudioLMSamplingConfig().semantic_temperature  # of that one
        self.sample_rate = synthesizer.generator.acoustic_info.sample_rate
        self.infos = synthesizer.reader.info, synthesizer.generator.acoustic_info

    @classmethod
    def from_pretrained(
        cls,
        place: str | Path,
        *,
        device: str = "auto",
        revision: str | None = None,
        download: bool = False,
        numbers: str | None = None,
    ) -> SpeechGenerator:
        """The models of a pack (``utils/pack_model.sh``), with the sampling that it recommends.

        Args:
            place: its directory, or its name on the hub (``org/name``).
            device: cpu, cuda or auto.
            revision: commit, tag or branch on the hub.
            download: get it from the hub where it is not on this machine; else nothing opens a connection.
            numbers: language in which numbers, currencies and dates are spoken, see :func:`spoken_form`.

        Raises:
            FileNotFoundError: there is no such pack here, or it lacks a part that speaking needs.
            ValueError: it is damaged, or there is no grammar for ``numbers``.
        """
        if numbers is not None:
            spoken_form("1", numbers)
        if download and not Path(place).exists() and can_be_on_hub(str(place)):
            from huggingface_hub import snapshot_download

            root: Path | None = Path(snapshot_download(str(place), revision=revision))
        else:
            root = find_pack(place, revision)
        if root is None:
            raise FileNotFoundError(f"{place}: no pack is there; {how_to_get(place)}")
        samplings = read_sampling(root / DECODING_FILE)
        device = choose_device(device)
        codec = load_acoustic_tokenizer(str(root), device)
        chosen = f"soundstorm:{root}" if "soundstorm" in open_pack(root).parts else root  # a pack may have AudioLM too
        kind, generator = load_generator(chosen, codec, device)
        text_kind, reader = load_semantic_generator(root, device)
        synthesizer = DialogueSynthesizer(reader, generator, codec, SemanticTokenizer.load(root, device=device))
        text_sampling = text_sampling_of(text_kind, samplings)
        name = root.resolve().name if Path(place).exists() else str(place)  # of one in the hub's cache, no commit
        speaker = cls(synthesizer, sampling_of(kind, samplings), text_sampling, name=name)
        speaker.numbers = numbers
        speaker.first_stage = cache(lambda: load_first_stage(root, reader.info, device))  # only if it is asked for
        speaker.semantic_temperature = samplings["audiolm"].semantic_temperature
        return speaker

    def with_sampling(self, **wanted: Any) -> SpeechGenerator:
        """The same models with other sampling of acoustic tokens.

        Args:
            wanted: ``iterations``, ``temperature`` or what else the acoustic generator's kind has.

        Raises:
            ValueError: it has no such option, or not with this value.
        """
        other = copy.copy(self)
        other.sampling = make_record(type(self.sampling), {**vars(self.sampling), **wanted}, "sampling")
        return other

    def with_text_sampling(self, **wanted: Any) -> SpeechGenerator:
        """The same for semantic tokens; a parallel model has ``speed`` and ``duration_temperature`` too."""
        other = copy.copy(self)
        other.text_sampling = make_record(
            type(self.text_sampling), {**vars(self.text_sampling), **wanted}, "sampling of this model's semantic tokens"
        )
        return other

    def __call__(
        self,
        text: str,
        *,
        prompt: PromptLike | None = None,
        prompt_text: str | None = None,
        seed: int = 0,
        seconds: float | None = None,
        progress: Callable[..., None] | None = None,
    ) -> Speech:
        """Say a text of any length, in one voice.

        Args:
            text: words; what cannot be read of them is left out, see ``Speech.text``.
            prompt: a few seconds of the voice; None for any.
            prompt_text: its words, which help to go on in its manner.
            seed: other numbers say it in other ways.
            seconds: how long it is to be (of a text of up to 300 characters, by a parallel text-to-semantic model).

        Raises:
            ValueError: nothing to say, a prompt that cannot serve, or a duration that cannot be met.
        """
        texts = None if prompt_text is None else {"A": prompt_text}
        prompts = {} if prompt is None else {"A": prompt}
        return self._speak([Turn("A", text)], prompts, texts or {}, seed, progress, seconds)

    def dialogue(
        self,
        script: str | Sequence[tuple[str, str]],
        *,
        prompts: Mapping[str, PromptLike] | None = None,
        prompt_texts: Mapping[str, str] | None = None,
        seed: int = 0,
        seconds: float | None = None,
        progress: Callable[..., None] | None = None,
    ) -> Speech:
        """Say a script of several voices.

        Args:
            script: lines ``A: words``, or pairs of voice and words.
            prompts: a recording of every voice, or none at all.
            prompt_texts: their words.
            seed, seconds: as above.

        Raises:
            ValueError: a script of another form or without turns, or prompts of other voices than its.
        """
        turns = read_script_text(script, "script") if isinstance(script, str) else [Turn(*turn) for turn in script]
        if not turns:
            raise InputError("script: no turns; give pairs such as ('A', 'hello') and ('B', 'good morning')")
        return self._speak(turns, prompts or {}, prompt_texts or {}, seed, progress, seconds)

    def convert(self, speech: PromptLike, *, prompt: PromptLike | None = None, seed: int = 0) -> Speech:
        """Say what a recording says in the voice of another one."""
        _check_seed(seed)
        encoded, tokenizer = self._encoded(speech), self.synthesizer.tokenizer
        if encoded is not None:
            semantic = encoded.semantic
        else:
            sound, name = _sound(speech)
            (semantic,) = tokenizer.encode([one_channel(sound, tokenizer.info.sample_rate, name)])
        stopwatch = Stopwatch()
        given = None if prompt is None else self._passage(prompt, None)
        samples = self.synthesizer.convert(semantic, given, self.sampling, seed=seed, stopwatch=stopwatch)
        return self._speech(samples, None, seed, stopwatch)

    def continue_(
        self,
        speech: PromptLike,
        *,
        seconds: float = 10.0,
        seed: int = 0,
        progress: Callable[..., None] | None = None,
    ) -> Speech:
        """Go on as a recording does, in its voice, with what AudioLM's first stage makes up.

        Args:
            speech: the recording; what it says last decides how it goes on.
            seconds: of what comes after it, which alone is returned.
            seed: as above.
            progress: as above.

        Raises:
            FileNotFoundError: the models came without that stage.
            ValueError: speech that cannot serve, or seconds out of range.
        """
        _check_seed(seed)
        if self.first_stage is None:
            raise FileNotFoundError(f"{self.name}: has no first stage of AudioLM, which continues speech; use a pack")
        stage, generator = self.first_stage(), self.synthesizer.generator
        given = self._passage(speech, None, longest=stage.crop_seconds)
        stopwatch = Stopwatch(progress)
        tokens = continue_tokens(
            stage, given.semantic, seconds, temperature=self.semantic_temperature, seed=seed, stopwatch=stopwatch
        )
        voice = last_part(given, SECONDS, stage.semantic.frame_rate, generator.ratio)
        samples = self.synthesizer.convert(tokens, voice, self.sampling, seed=seed, stopwatch=stopwatch)
        return self._speech(samples, None, seed, stopwatch)

    def prompt(self, recording: PromptLike, *, text: str | None = None) -> VoicePrompt:
        """Encode a voice once; ``text``: the words of the recording."""
        return VoicePrompt(self._passage(recording, text), self)

    def readable(self, text: str) -> str:
        """A text as the model reads it: one spelling, numbers in words where that is asked for, without
        accents and characters that no training text had.

        Raises:
            ValueError: nothing of it can be read.
        """
        reader = self.synthesizer.reader
        normal = normalize_text(text, lowercase=False).replace(TURN_MARKER, " ")  # also of its wide form
        if self.numbers is not None:
            normal = spoken_form(normalize_text(normal, lowercase=False), self.numbers)
        normal = normalize_text(normal, lowercase=reader.tokenizer.lowercase)
        unsaid = self.numbers is None and any(map(str.isdecimal, normal))
        hint = "; --numbers en says numbers in words" if unsaid else ""
        if reader.characters:
            read_as = {letter: _known_letters(letter, reader.characters) for letter in sorted(set(normal))}
            strange = [letter for letter, known in read_as.items() if not known.strip() and letter != " "]
            folded = [f"{letter} as {known}" for letter, known in read_as.items() if known.strip() not in ("", letter)]
            if strange:
                logger.info("not read, as no training text had them: %s%s", " ".join(strange), hint)
            if folded:
                logger.info("read without accents, as no training text had them: %s", ", ".join(folded))
            normal = " ".join("".join(map(read_as.__getitem__, normal)).split())
        if not has_words(normal):
            raise InputError(f"nothing to pronounce in {text!r:.60}; expected words{hint}")
        return normal

    def _speak(
        self,
        turns: list[Turn],
        prompts: Mapping[str, PromptLike],
        texts: Mapping[str, str],
        seed: int,
        progress: Callable[..., None] | None,
        seconds: float | None = None,
    ) -> Speech:
        _check_seed(seed)
        stopwatch = Stopwatch(progress)
        turns = [Turn(turn.voice, self.readable(turn.text)) for turn in turns]
        voices = list(dict.fromkeys(turn.voice for turn in turns))
        if prompts and set(prompts) != set(voices):
            raise InputError(
                f"prompts are given for {', '.join(map(str, prompts))}, expected one for each voice of the script "
                f"({', '.join(voices)}), or none"
            )
        if set(texts) - set(prompts):
            raise InputError(f"words are given of prompts that are not: {', '.join(sorted(set(texts) - set(prompts)))}")
        stopwatch.tell(part="prompts")
        given = join_prompts([self._passage(prompts[v], texts.get(v)).by(v) for v in voices if prompts])
        samples, _, made = self.synthesizer.speak(
            turns, given, self.sampling, self.text_sampling, seed=seed, seconds=seconds, stopwatch=stopwatch
        )
        return self._speech(samples, "\n".join(passage.said for passage in made), seed, stopwatch)

    def _speech(self, samples: np.ndarray, text: str | None, seed: int, stopwatch: Stopwatch) -> Speech:
        seconds = {part: times["seconds"] for part, times in stopwatch.parts.items()}
        return Speech(samples, self.sample_rate, text, self.name, seed, seconds)

    def _passage(self, prompt: PromptLike, text: str | None, longest: float | None = None) -> Passage:
        """Tokens of a prompt; of a recording that is to go on (``longest``), those of its last seconds."""
        text, encoded = None if text is None else self.readable(text), self._encoded(prompt)
        if encoded is not None:
            if text is not None and encoded.text is None:
                raise InputError("words are given of a prompt encoded without; encode it again by prompt(text=...)")
            return encoded
        sound, name = _sound(prompt)
        if longest is not None:
            wav = long_enough(sound, self.sample_rate, name)
            return self.synthesizer.encode(wav[-round(longest * self.sample_rate) :])
        return self.synthesizer.encode(prepare_prompt(sound, self.sample_rate, name, whole=bool(text)), text)

    def _encoded(self, prompt: PromptLike) -> Passage | None:
        """Tokens of a voice that was encoded before, if it was by these models; None of a recording."""
        if isinstance(prompt, VoicePrompt):
            prompt.maker.infos[0].check_same(self.infos[0], "the prompt", self.name)
            prompt.maker.infos[1].check_same(self.infos[1], "the prompt", self.name)
            return prompt.passage
        if isinstance(prompt, str | Path) and Path(prompt).suffix == ".safetensors":
            return load_prompt(prompt, *self.infos)
        return None


def read_sampling(path: Path) -> dict[str, Any]:
    """Sampling options by the sections of a ``decode.yaml``; defaults for what it does not say, or if there is none.

    Raises:
        ValueError: the file is damaged.
    """
    sections = {**text_sampling_sections(), **sampling_sections()}
    try:
        values = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split()):.200})") from error
    if not isinstance(values, dict) or set(values) - set(sections):
        raise InputError(f"{path}: expected sections of {', '.join(sections)}, got {values!r:.80}")
    return {name: make_record(cls, values.get(name, {}), f"{path}: {name}") for name, cls in sections.items()}


def _known_letters(letter: str, known: frozenset[str]) -> str:
    """A letter, or those it is made of without accents, if all are known; else a blank, of an accent nothing."""
    for form in (letter, *(unicodedata.normalize("NFKD", form) for form in (letter, letter.casefold()))):
        plain = form if form in known else "".join(part for part in form if not unicodedata.combining(part))
        if plain and known.issuperset(plain):
            return plain
    return "" if unicodedata.combining(letter) else " "


def _check_seed(seed: int) -> None:
    if not abs(seed) < LARGEST_INTEGER:
        raise InputError(f"seed is {seed}, expected a number between -{LARGEST_INTEGER} and {LARGEST_INTEGER}")


def _sound(recording: str | Path | tuple[np.ndarray, int]) -> tuple[Sound, str]:
    """Samples, and a name for messages."""
    if isinstance(recording, str | Path):
        recording = read_sound(recording)
    elif isinstance(recording, tuple) and len(recording) == 2:
        recording = Sound(*recording)
    if not isinstance(recording, Sound):
        raise InputError(f"expected a path or (samples, sample rate), got {type(recording).__name__}")
    return recording, recording.name
