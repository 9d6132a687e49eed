"""What the page asks for: JSON that anybody may have written, made into work for the models or refused."""

from __future__ import annotations

import base64
import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass

from soundstorm.data.errors import InputError
from soundstorm.data.options import Config, option
from soundstorm.data.records import make_record
from soundstorm.decoding.script import Turn, read_script_text
from soundstorm.decoding.speech import Speech
from soundstorm.decoding.speech_generator import SpeechGenerator
from soundstorm.decoding.voice_prompt import Sound, decode_sound

MOST_CHARACTERS = 3000  # of a text: about three minutes
MOST_BYTES = 24 << 20  # of a request with the recordings in it
MOST_PROMPT_SAMPLES = 12_000_000  # a minute of two channels at 96 kHz
MOST_VOICES = 8
MOST_ITERATIONS = 64
MOST_TEMPERATURE = 2.0
MOST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Wanted(Config):
    """Fields of a request, but for its prompts."""

    text: str
    script: bool = False  # the text has lines `A: words`
    seed: int = option(0, "of the sampling", within=(0, MOST_SEED))
    iterations: int | None = option(None, "of the first RVQ level", within=(1, MOST_ITERATIONS))
    temperature: float | None = option(None, "of the acoustic tokens", within=(0, MOST_TEMPERATURE))
    consent: bool = False  # the owners of the voices agree
    numbers: bool = True  # in words, if the server has a language for them

    def __post_init__(self):
        super().__post_init__()
        if len(self.text) > MOST_CHARACTERS:
            raise InputError(
                f"the text has {len(self.text)} characters, expected {MOST_CHARACTERS} at most; cut it"
            )
        if any("\ud800" <= character <= "\udfff" for character in self.text):
            raise InputError("the text has half a character, which nothing can write; type it again")


@dataclass(frozen=True)
class Prompt:
    """A recording."""

    audio: str  # the file in base64
    text: str | None = None  # its words


def read_request(body: bytes, speaker: SpeechGenerator) -> Callable[..., Speech]:
    """The work that a request asks for, to be called with ``progress``.

    Raises:
        ValueError: a request of another form, too long, with recordings that are none, or without consent.
    """
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request is not JSON ({error!s:.100}); load the page again") from error
    recordings = values.pop("prompts", {}) if isinstance(values, dict) else {}
    wanted = make_record(Wanted, values, "the request")
    turns = read_script_text(wanted.text, "the script") if wanted.script else [Turn("A", wanted.text)]
    prompts, words = _read_prompts(recordings)
    if prompts and not wanted.consent:
        raise InputError(
            "speech in somebody's voice needs that person's agreement; if you have it, tick the box"
        )
    options = {}
    if wanted.temperature is not None:
        options["temperature"] = wanted.temperature
    if wanted.iterations is not None:
        stages = speaker.synthesizer.generator.acoustic_info.num_stages
        usual = speaker.sampling.iterations_of(stages) if hasattr(speaker.sampling, "iterations") else [1]
        options["iterations"] = (wanted.iterations, *usual[1:])  # the last number would stand for all finer levels
    speaker = speaker.with_sampling(**options)
    speaker.numbers = speaker.numbers if wanted.numbers else None
    return functools.partial(
        speaker.dialogue, [(turn.voice, turn.text) for turn in turns], prompts=prompts, prompt_texts=words,
        seed=wanted.seed,
    )  # fmt: skip


def _read_prompts(recordings: object) -> tuple[dict[str, Sound], dict[str, str]]:
    """Recordings and their words, by voices."""
    if not isinstance(recordings, dict) or len(recordings) > MOST_VOICES:
        raise InputError(
            f"prompts are {recordings!r:.60}, expected a recording for each of {MOST_VOICES} voices at most"
        )
    prompts, words = {}, {}
    for voice, values in recordings.items():
        name = f"the prompt of {voice:.20}"
        prompt = make_record(Prompt, values, name)
        try:
            content = base64.b64decode(prompt.audio, validate=True)
        except ValueError as error:
            raise InputError(f"{name}: not base64 ({error}); choose the file again") from error
        prompts[voice] = decode_sound(io.BytesIO(content), name, MOST_PROMPT_SAMPLES)
        if prompt.text and prompt.text.strip():
            words[voice] = Wanted(prompt.text).text  # with its limits
    return prompts, words
