"""Dialogue from a script and short voice prompts (SoundStorm, dialogue synthesis).

As in the paper, the text is the transcript of a short recorded exchange followed by the script, with a marker
where the speaker changes; the exchange's semantic tokens prompt the text-to-semantic model, its acoustic
tokens the acoustic model. A script that is longer than the training windows is synthesized in segments, each
prompted with the previous ones.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundstorm.data.audio import read_audio, resample, write_audio
from soundstorm.data.data_dir import DataDir, write_text
from soundstorm.data.errors import InputError
from soundstorm.decoding.acoustic_generator import AcousticGenerator
from soundstorm.decoding.script import SEPARATOR, Turn, joined_text, passes
from soundstorm.decoding.semantic_generator import SemanticGenerator
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.waveform import waveform
from soundstorm.tokens.acoustic import AcousticTokenizer
from soundstorm.tokens.semantic import SemanticTokenizer

logger = logging.getLogger(__name__)
MAX_CHARACTERS = 150  # of a segment: about 10 s, so that with its prompt it fits into a window of 30 s
SLOW_CHARACTERS = 10.0  # a second, of a slow speaker at speed 1
CONTEXT_SECONDS = 20.0  # longest prompt of a segment
SEGMENT_SECONDS = 10.0  # of speech that is said in another voice


@dataclass(frozen=True)
class Prompt:
    """Recorded speech as voice prompt."""

    path: str  # recording
    text: str | None  # transcript, with turn markers; None when unknown
    start: float = 0.0  # seconds
    end: float | None = None  # seconds; None: to the end of the recording
    voice: str | None = None  # of the script; None: an exchange of all of them


def read_prompt(place: str) -> Prompt:
    """The utterance ``<data directory>/<utterance>``, with its transcript where it has one.

    Raises:
        FileNotFoundError: no such directory.
        ValueError: no such utterance.
    """
    directory, _, name = place.rpartition("/")
    data = DataDir(directory or ".")
    if name not in data.key_table():
        raise InputError(
            f"{data.key_file}: no utterance {name!r}; name a prompt as <data directory>/<utterance>"
        )
    recording, start, end = data.segments().get(name, (name, 0.0, None))
    text = data.table("text").get(name) if data.has("text") else None
    return Prompt(data.table("wav.scp")[recording], text, start, end)


def choose_prompts(
    turns: list[Turn],
    recordings: list[str],
    words: list[str],
    utterances: Sequence[str] = (),
    exchange: Prompt | None = None,
) -> list[Prompt]:
    """Prompts of every voice, in the order of the voices' first turns, or one exchange of all of them.

    Args:
        turns: the script.
        recordings: ``A=a.wav``.
        words: ``A=words of a.wav``.
        utterances: instead: ``A=<data directory>/<utterance>``.
        exchange: or: one recording of all voices.

    Raises:
        ValueError: a voice without recording, or with two; a recording of a voice that the script lacks.
    """
    if exchange:
        if recordings or words or utterances:
            raise InputError("give either one exchange or a prompt for each voice, not both")
        return [exchange]
    if utterances and (recordings or words):
        raise InputError("give prompts by --prompt and --prompt-text or by --prompt-utterance, not both")
    paths, texts = _named(recordings, "--prompt"), _named(words, "--prompt-text")
    places = _named(utterances, "--prompt-utterance")
    voices = list(dict.fromkeys(turn.voice for turn in turns))
    for name, given in (("--prompt", paths), ("--prompt-text", texts), ("--prompt-utterance", places)):
        strange = sorted(set(given) - set(voices))
        if strange:
            raise InputError(
                f"{name} {strange[0]}=...: the script has no voice {strange[0]}; it has {', '.join(voices)}"
            )
        missing = [voice for voice in voices if voice not in given]
        if given and missing:
            raise InputError(
                f"{name} is missing for voice {missing[0]}; give one for each of {', '.join(voices)}, or none"
            )
    if places:
        return [replace(read_prompt(places[voice]), voice=voice) for voice in voices]
    return [Prompt(paths[voice], texts.get(voice), voice=voice) for voice in voices] if paths else []


def _named(values: Sequence[str], option: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not rest:
            raise InputError(f"{option} {value!r}: expected VOICE=..., as in {option} A=...")
        if name in named:
            raise InputError(f"{option}: voice {name} is given twice")
        named[name] = rest
    return named


@dataclass(frozen=True)
class Passage:
    """A segment of speech, recorded or synthesized, that can prompt the next one."""

    turns: tuple[Turn, ...]  # of a recorded prompt: none where nobody said whose voice it is
    text: str | None  # transcript; None when unknown
    semantic: np.ndarray  # (T_s,)
    codes: np.ndarray  # (T, Q)
    cut: float | None = None  # seconds after which it ended, before its words did or just as they did

    @property
    def said(self) -> str | None:
        """The transcript, with a note where its last words may be missing."""
        return self.text if self.cut is None else f"{self.text} [cut after {self.cut:g} s]"

    def by(self, voice: str) -> "Passage":
        """The same as one turn of a voice."""
        return replace(self, turns=(Turn(voice, self.text or ""),))


def choose_context(prompt: Passage | None, made: Sequence[Passage], longest: int) -> list[Passage]:
    """Prompt of a segment: the recorded one, and as many of the last segments as ``longest`` codec frames then hold.

    The recorded prompt is always there: voices drift from segment to segment that follow each other alone. Without
    one, the last segment is.
    """
    chosen = [] if prompt is None else [prompt]
    first = len(chosen)
    for passage in reversed(made):
        if chosen and _num_frames([passage, *chosen]) > longest:
            break
        chosen.insert(first, passage)
    return chosen


def _num_frames(passages: Sequence[Passage]) -> int:
    return sum(len(passage.codes) for passage in passages)


def lead_text(passages: Sequence[Passage], first: Turn) -> str:
    """Transcript of passages before a segment that begins with ``first``, with the turn marker between."""
    text, voice = "", None
    for passage in passages:
        if text:
            text += " " if passage.turns and passage.turns[0].voice == voice else SEPARATOR
        text += passage.text
        voice = passage.turns[-1].voice if passage.turns else None
    return text + ((" " if voice == first.voice else SEPARATOR) if text else "")


class DialogueSynthesizer:
    """Text-to-semantic model, acoustic generator, codec and semantic tokenizer together."""

    def __init__(
        self,
        reader: SemanticGenerator,
        generator: AcousticGenerator,
        codec: AcousticTokenizer,
        tokenizer: SemanticTokenizer,
    ):
        """
        Raises:
            ValueError: the models were not trained on the same semantic tokens, or the codec's sample rate is
                too low for the semantic tokenizer.
        """
        reader.info.check_same(generator.semantic_info, "the text-to-semantic model", "the acoustic model")
        reader.info.check_same(tokenizer.info, "the text-to-semantic model", "the semantic tokenizer")
        self.reader, self.generator, self.codec, self.tokenizer = reader, generator, codec, tokenizer
        if tokenizer.info.sample_rate > generator.acoustic_info.sample_rate:
            raise InputError(
                f"the semantic tokenizer reads {tokenizer.info.sample_rate} Hz and the codec "
                f"{generator.acoustic_info.sample_rate} Hz; dialogue prompts need a codec of the same or a "
                "higher rate"
            )

    def speak(
        self,
        turns: list[Turn],
        prompt: Passage | None,
        sampling: Any,
        text: Any,
        *,
        seed: int = 0,
        max_characters: int | None = None,
        context_seconds: float = CONTEXT_SECONDS,
        seconds: float | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> tuple[np.ndarray, np.ndarray, list[Passage]]:
        """Synthesize a script.

        Args:
            turns: the script.
            prompt: all voices, in the order of their first turns, see :meth:`read_prompts`; None for any voice.
            sampling, text: how to decode acoustic and semantic tokens, of the generators' kinds.
            seed: of the sampling.
            max_characters: of a segment, which should fit into the training windows; by default what slow speakers say
                in ``text.max_seconds``, :data:`MAX_CHARACTERS` at most, or twice that with ``seconds``.
            context_seconds: longest prompt of a segment; both together should fit into such a window.
            seconds: how long the speech is to be, of one segment only; as long as it takes by default.
            stopwatch: is told the time taken.

        Returns:
            The dialogue ``(S,)``, without the prompt; the prompt as the codec renders it ``(S,)``; the
            segments.

        Raises:
            ValueError: a duration that cannot be met.
        """
        stopwatch = stopwatch or Stopwatch()
        longest = int(context_seconds * self.generator.acoustic_info.frame_rate)
        made: list[Passage] = []
        if max_characters is None:
            fitting = SLOW_CHARACTERS * text.max_seconds * getattr(text, "speed", 1.0)
            max_characters = 2 * MAX_CHARACTERS if seconds is not None else max(1, int(min(MAX_CHARACTERS, fitting)))
        groups = passes(turns, max_characters)
        rate = self.reader.info.frame_rate
        if seconds is not None and not (len(groups) == 1 and 1 / rate <= seconds <= text.max_seconds):
            raise InputError(
                f"the duration asked for is {seconds} s of speech in {len(groups)} segments, expected a frame to "
                f"{text.max_seconds:g} s in one segment, up to {max_characters} characters; say longer texts in parts"
            )
        frames = None if seconds is None else round(seconds * rate)
        for number, group in enumerate(groups):
            stopwatch.tell(segment=number + 1, segments=len(groups))
            context = choose_context(prompt, made, longest)
            numbers = seed + 1000 * number, frames
            made.append(self._speak_pass(group, context, prompt, sampling, text, *numbers, stopwatch))
        return *self._waveforms(prompt, made, stopwatch), made

    def convert(
        self,
        semantic: np.ndarray,
        prompt: Passage | None,
        sampling: Any,
        *,
        seed: int = 0,
        context_seconds: float = CONTEXT_SECONDS,
        stopwatch: Stopwatch | None = None,
    ) -> np.ndarray:
        """Say semantic tokens ``(T_s,)`` in the prompt's voice, in segments as a script: samples ``(S,)``."""
        stopwatch, info = stopwatch or Stopwatch(), self.generator.acoustic_info
        step = int(SEGMENT_SECONDS * self.reader.info.frame_rate)
        step -= step % self.generator.ratio.tokens  # every segment begins with a frame
        made: list[Passage] = []
        for number, start in enumerate(range(0, len(semantic), step)):
            context = choose_context(prompt, made, int(context_seconds * info.frame_rate))
            tokens = semantic[start : start + step]
            codes = self._render(tokens, context, sampling, seed + 1000 * number, stopwatch)
            made.append(Passage((), None, tokens, codes))
        return self._waveforms(prompt, made, stopwatch)[0]

    def _waveforms(
        self, prompt: Passage | None, made: list[Passage], stopwatch: Stopwatch
    ) -> tuple[np.ndarray, np.ndarray]:
        """Samples of what was made, and of the prompt as the codec renders it."""
        codec, num_levels = self.codec, self.generator.acoustic_info.num_levels
        prompt_codes = prompt.codes if prompt else np.zeros((0, num_levels), np.int64)
        # Decoded at once, to be seamless between segments, and after the prompt, so that the codec's context
        # at the first frames is speech.
        codes = np.concatenate([prompt_codes, *(passage.codes for passage in made)])
        wav = waveform(codec, codes, stopwatch)
        rendered = waveform(codec, prompt_codes) if len(prompt_codes) else np.zeros(0, np.float32)
        return wav[len(prompt_codes) * codec.hop :], rendered

    def _speak_pass(
        self,
        turns: list[Turn],
        context: list[Passage],
        prompt: Passage | None,
        sampling: Any,
        text: Any,
        seed: int,
        frames: int | None,
        stopwatch: Stopwatch,
    ) -> Passage:
        # Tokens without their transcript would be aligned with the wrong words by the text-to-semantic model.
        known, new = [p for p in context if p.text and p.cut is None], joined_text(turns)
        with stopwatch.part("text_to_semantic", 0.0):
            (tokens,) = self.reader.semantic_tokens(
                [lead_text(known, turns[0]) + new],
                text,
                seeds=torch.randint(2**62, (1,), generator=torch.Generator().manual_seed(seed)).tolist(),
                prompts=[np.concatenate([p.semantic for p in known])] if known else None,
                new_texts=[new],
                frames=None if frames is None else [frames],
                recorded=[sum(len(p.semantic) for p in known if p is prompt)],
            )
        rate = self.reader.info.frame_rate
        stopwatch.parts["text_to_semantic"]["audio_seconds"] += len(tokens) / rate
        cut = text.max_seconds if frames is None and len(tokens) >= int(text.max_seconds * rate) else None
        return Passage(tuple(turns), new, tokens, self._render(tokens, context, sampling, seed, stopwatch), cut)

    def _render(
        self, tokens: np.ndarray, context: list[Passage], sampling: Any, seed: int, stopwatch: Stopwatch
    ) -> np.ndarray:
        """Acoustic tokens ``(T, Q)`` of semantic ones that go on from the context."""
        before = _num_frames(context)
        (codes,) = self.generator.acoustic_tokens(
            [np.concatenate([*(passage.semantic for passage in context), tokens])],
            sampling,
            seeds=[seed],
            prompts=[np.concatenate([passage.codes for passage in context])] if before else None,
            stopwatch=stopwatch,
        )
        return codes[before:]

    def read_prompts(self, prompts: Sequence[Prompt]) -> Passage | None:
        """One recorded exchange, or a recording of each voice in the order of their first turns, as one passage."""
        rate = self.generator.acoustic_info.sample_rate
        wavs = [read_audio(p.path, rate, start=p.start, end=p.end) for p in prompts]
        passages = [self.encode(wav, p.text) for wav, p in zip(wavs, prompts, strict=True)]
        return join_prompts([x.by(p.voice) if p.voice else x for x, p in zip(passages, prompts, strict=True)])

    def encode(self, wav: np.ndarray, text: str | None = None) -> Passage:
        """Tokens of recorded speech ``(S,)`` at the codec's rate, of which only this is heard."""
        info, ratio = self.generator.acoustic_info, self.generator.ratio
        resampled = resample(wav, info.sample_rate, self.tokenizer.info.sample_rate)
        (semantic,) = self.tokenizer.encode([resampled])
        codes = self.codec.encode(torch.from_numpy(wav)[None])[0].cpu().numpy()
        known = min(len(semantic), ratio.token_of(len(codes)))
        known -= known % ratio.tokens  # so that what comes after it begins with a frame
        return Passage((), text, semantic[:known].astype(np.int64), codes[: ratio.num_frames(known)].astype(np.int64))


def join_prompts(prompts: Sequence[Passage]) -> Passage | None:
    """Recordings one after the other; their words too, where all are known. None where there are none."""
    if len(prompts) < 2:
        return prompts[0] if prompts else None
    text = SEPARATOR.join(p.text for p in prompts) if all(p.text for p in prompts) else None
    turns = tuple(turn for p in prompts for turn in p.turns)
    semantic = np.concatenate([p.semantic for p in prompts])
    return Passage(turns, text, semantic, np.concatenate([p.codes for p in prompts]))


def write_dialogue(
    synthesizer: DialogueSynthesizer,
    turns: list[Turn],
    prompts: list[Prompt],
    output: str | Path,
    sampling: Any,
    text: Any,
    *,
    seed: int = 0,
    max_characters: int | None = None,
    context_seconds: float = CONTEXT_SECONDS,
) -> None:
    """Write ``dialogue.wav``, ``prompt.wav``, ``timing.json`` and, last, ``dialogue.json`` to a directory."""
    output = Path(output)
    if (output / "dialogue.json").exists():
        logger.info("%s: already made; nothing to do", output)
        return
    stopwatch = Stopwatch()
    wav, prompt, made = synthesizer.speak(
        turns,
        synthesizer.read_prompts(prompts),
        sampling,
        text,
        seed=seed,
        max_characters=max_characters,
        context_seconds=context_seconds,
        stopwatch=stopwatch,
    )
    info = synthesizer.generator.acoustic_info
    write_audio(output / "dialogue.wav", wav, info.sample_rate)
    if len(prompt):
        write_audio(output / "prompt.wav", prompt, info.sample_rate)
    write_text(output / "timing.json", json.dumps(stopwatch.parts, indent=2) + "\n")
    record = {
        "seconds": len(wav) / info.sample_rate,
        "turns": [{"voice": turn.voice, "text": turn.text} for turn in turns],
        "passes": [{"seconds": len(p.codes) / info.frame_rate, "text": p.said} for p in made],
        "prompts": [{"path": p.path, "text": p.text} for p in prompts],
    }
    write_text(output / "dialogue.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
