"""Dialogue from a script and short voice prompts (SoundStorm, section 4.5).

The paper's text is the transcript of a short recorded exchange followed by what is to be said, with a marker where the
speaker changes; the exchange's semantic tokens start the text-to-semantic model and its acoustic tokens SoundStorm.
"""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.audio import read_audio, write_audio
from soundstorm.data.data_dir import write_text
from soundstorm.data.text import TURN_MARKER
from soundstorm.decoding.autoregressive import TextToSemanticGenerator
from soundstorm.decoding.config import ParallelConfig, TextSamplingConfig
from soundstorm.decoding.synthesize import Stopwatch, Vocoder, waveform
from soundstorm.tokens.semantic import SemanticTokenizer

logger = logging.getLogger(__name__)
SEPARATOR = f" {TURN_MARKER} "


@dataclass(frozen=True)
class Turn:
    """One line of a script."""

    voice: str
    text: str


@dataclass(frozen=True)
class Prompt:
    """Recorded speech that shows how the voices sound."""

    path: str  # recording
    text: str | None  # its words, with turn markers; None when unknown


def read_script(path: str | Path) -> list[Turn]:
    """Lines ``A: what A says``; empty lines and lines that begin with # are passed over.

    Raises:
        ValueError: a line of another form, or a script without turns.
    """
    turns = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from error
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)", line)
        if not match:
            raise ValueError(f"{path}, line {number}: expected 'A: some words', got {line[:60]!r}")
        if TURN_MARKER in match[2]:
            raise ValueError(f"{path}, line {number}: '{TURN_MARKER}' marks turns; begin a new line instead")
        turns.append(Turn(match[1], match[2]))
    if not turns:
        raise ValueError(f"{path}: no turns; write lines such as 'A: hello' and 'B: good morning'")
    return turns


def choose_prompts(
    turns: list[Turn],
    recordings: list[str],
    words: list[str],
    exchange: str | None = None,
    exchange_words: str | None = None,
) -> list[Prompt]:
    """Prompts from ``A=a.wav`` and ``A=words of a.wav``, in the order in which the script's voices first speak.

    Raises:
        ValueError: a voice without recording, or with two; a recording of a voice that the script lacks.
    """
    if exchange:
        if recordings or words:
            raise ValueError("give either one exchange or a prompt for each voice, not both")
        return [Prompt(exchange, exchange_words)]
    paths, texts = _named(recordings, "--prompt"), _named(words, "--prompt-text")
    voices = list(dict.fromkeys(turn.voice for turn in turns))
    for name, given in (("--prompt", paths), ("--prompt-text", texts)):
        strange = sorted(set(given) - set(voices))
        if strange:
            raise ValueError(
                f"{name} {strange[0]}=...: the script has no voice {strange[0]}; it has {', '.join(voices)}"
            )
        missing = [voice for voice in voices if voice not in given]
        if given and missing:
            raise ValueError(
                f"{name} is missing for voice {missing[0]}; give one for each of {', '.join(voices)}, or none"
            )
    return [Prompt(paths[voice], texts.get(voice)) for voice in voices] if paths else []


def _named(values: list[str], option: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not rest:
            raise ValueError(f"{option} {value!r}: expected VOICE=..., as in {option} A=...")
        if name in named:
            raise ValueError(f"{option}: voice {name} is given twice")
        named[name] = rest
    return named


def passes(turns: list[Turn], max_characters: int) -> list[list[Turn]]:
    """Consecutive turns that are generated together; a long script takes several passes, all with the same prompt."""
    groups: list[list[Turn]] = [[]]
    size = 0
    for turn in turns:
        if groups[-1] and size + len(turn.text) > max_characters:
            groups.append([])
            size = 0
        groups[-1].append(turn)
        size += len(turn.text) + len(SEPARATOR)
    return groups


def joined_text(turns: list[Turn]) -> str:
    """Words of several turns, with a marker where the voice changes."""
    text = turns[0].text
    for before, turn in zip(turns, turns[1:], strict=False):
        text += (SEPARATOR if turn.voice != before.voice else " ") + turn.text
    return text


class DialogueSynthesizer:
    """Text-to-semantic model, SoundStorm, codec and semantic tokenizer together."""

    def __init__(self, reader: TextToSemanticGenerator, vocoder: Vocoder, tokenizer: SemanticTokenizer):
        """
        Raises:
            ValueError: the parts were not trained on the same semantic tokens.
        """
        reader.info.check_same(vocoder.semantic_info, "the text-to-semantic model", "SoundStorm")
        reader.info.check_same(tokenizer.info, "the text-to-semantic model", "the semantic tokenizer")
        self.reader, self.vocoder, self.tokenizer = reader, vocoder, tokenizer
        if tokenizer.info.sample_rate != vocoder.acoustic_info.sample_rate:
            raise ValueError(
                f"the semantic tokenizer reads {tokenizer.info.sample_rate} Hz and the codec "
                f"{vocoder.acoustic_info.sample_rate} Hz; dialogue prompts need one rate"
            )

    def speak(
        self,
        turns: list[Turn],
        prompts: list[Prompt],
        parallel: ParallelConfig,
        text: TextSamplingConfig,
        *,
        max_characters: int = 300,
        stopwatch: Stopwatch | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The dialogue ``(S,)``, without the prompt, and the prompt as the codec renders it ``(S,)``.

        Args:
            turns: the script.
            prompts: one recorded exchange, or a recording of each voice, in the order in which they speak.
            parallel, text: how to decode.
            max_characters: of a pass; a script longer than the training windows is made in several.
            stopwatch: is told the time taken.
        """
        stopwatch = stopwatch or Stopwatch()
        codec, info = self.vocoder.codec, self.vocoder.acoustic_info
        prompt_tokens, prompt_codes = self._read_prompts(prompts)
        # Without the prompt's words its tokens would be words out of nowhere to the text-to-semantic model.
        known = bool(prompts) and all(prompt.text for prompt in prompts)
        lead = SEPARATOR.join(prompt.text for prompt in prompts) + SEPARATOR if known else ""
        pieces = []
        for number, group in enumerate(passes(turns, max_characters)):
            seed = parallel.seed + 1000 * number
            with stopwatch.part("text_to_semantic", 0.0):
                (tokens,) = self.reader.generate(
                    [lead + joined_text(group)],
                    temperature=text.temperature,
                    top_k=text.top_k,
                    max_seconds=text.max_seconds,
                    generator=torch.Generator().manual_seed(seed),
                    prompt_semantic=[prompt_tokens] if known else None,
                )
            stopwatch.parts["text_to_semantic"]["audio_seconds"] += len(tokens) / self.reader.info.frame_rate
            (codes,) = self.vocoder.acoustic_tokens(
                [np.concatenate([prompt_tokens, tokens])],
                parallel,
                seeds=[seed],
                prompts=[prompt_codes] if len(prompt_codes) else None,
                stopwatch=stopwatch,
            )
            # The codec sees the prompt too, so that the first frames sound as in the middle of speech.
            wav = waveform(codec, codes, stopwatch)
            pieces.append(wav[len(prompt_codes) * info.sample_rate // round(info.frame_rate) :])
        rendered = waveform(codec, prompt_codes) if len(prompt_codes) else np.zeros(0, np.float32)
        return np.concatenate(pieces), rendered

    def _read_prompts(self, prompts: list[Prompt]) -> tuple[np.ndarray, np.ndarray]:
        """Semantic ``(P_s,)`` and acoustic ``(P, Q)`` tokens of all prompts one after the other."""
        info, repeat = self.vocoder.acoustic_info, self.vocoder.repeat
        if not prompts:
            return np.zeros(0, np.int64), np.zeros((0, info.num_levels), np.int64)
        wav = np.concatenate([read_audio(prompt.path, info.sample_rate) for prompt in prompts])
        (semantic,) = self.tokenizer.encode([wav])
        codes = self.vocoder.codec.encode(torch.from_numpy(wav)[None])[0].cpu().numpy()
        frames = min(len(semantic), len(codes) // repeat)
        return semantic[:frames].astype(np.int64), codes[: frames * repeat]


def write_dialogue(
    synthesizer: DialogueSynthesizer,
    turns: list[Turn],
    prompts: list[Prompt],
    output: str | Path,
    parallel: ParallelConfig,
    text: TextSamplingConfig,
    *,
    max_characters: int = 300,
) -> None:
    """Write ``dialogue.wav``, ``prompt.wav``, ``timing.json`` and, last, ``dialogue.json`` to a directory."""
    output = Path(output)
    if (output / "dialogue.json").exists():
        logger.info("%s: already made; nothing to do", output)
        return
    stopwatch = Stopwatch()
    wav, prompt = synthesizer.speak(turns, prompts, parallel, text, max_characters=max_characters, stopwatch=stopwatch)
    rate = synthesizer.vocoder.acoustic_info.sample_rate
    write_audio(output / "dialogue.wav", wav, rate)
    if len(prompt):
        write_audio(output / "prompt.wav", prompt, rate)
    write_text(output / "timing.json", json.dumps(stopwatch.parts, indent=2) + "\n")
    record = {
        "seconds": len(wav) / rate,
        "turns": [{"voice": turn.voice, "text": turn.text} for turn in turns],
        "prompts": [{"path": prompt.path, "text": prompt.text} for prompt in prompts],
    }
    write_text(output / "dialogue.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
