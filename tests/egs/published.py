"""Corpora in their published layouts, made at test time: speech of the embedded corpus' synthesiser, or noise.

Voices and sentences are those of egs/mini, said by eSpeak NG, so that there is something to hear in every turn.
"""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

MINI = Path(__file__).resolve().parent.parent.parent / "egs/mini/local"
RATE = 16000  # Hz
PAUSE = 0.6  # seconds between sentences


@cache
def _synthesiser():
    """The modules of egs/mini/local that make speech, and an engine."""
    sys.path.insert(0, str(MINI))
    try:
        import espeak
        import grammar
        import voices
    finally:
        sys.path.remove(str(MINI))
    return grammar, voices, espeak.ESpeak()


@cache
def say(speaker: int, number: int, words: int = 8) -> tuple[np.ndarray, str]:
    """One sentence of one voice: samples and words; the same for the same arguments."""
    grammar, voices, engine = _synthesiser()
    text = grammar.sentence(words, np.random.default_rng([speaker, number]))
    wav = voices.speak(engine, voices.TRAINING_VOICES[speaker], text).samples
    return wav + np.random.default_rng(number).normal(scale=voices.NOISE, size=len(wav)), text.replace(",", "")


def write_librilight(root: Path, speakers: dict[str, int], *, subset="small", files=2, sentences=3) -> Path:
    """<subset>/<speaker>/<book>/<file>.flac with JSON beside it, voice activity around every sentence.

    Args:
        root: The corpus.
        speakers: LibriVox's number to the voice.
        subset: Folder.
        files: Of each speaker, all of one book.
        sentences: Of each file.
    """
    for name, voice in speakers.items():
        book = root / subset / name / "sea_stories_0812_librivox_64kb_mp3"
        book.mkdir(parents=True)
        for file in range(1, files + 1):
            parts, spans, at = [np.zeros(int(0.4 * RATE))], [], 0.4
            for sentence in range(sentences):
                wav, _ = say(voice, 10 * file + sentence)
                spans.append([round(at, 2), round(at + len(wav) / RATE, 2)])
                parts += [wav, np.zeros(int(PAUSE * RATE))]
                at += len(wav) / RATE + PAUSE
            write_librilight_file(book / f"{file:02d}_sea_stories_64kb.flac", np.concatenate(parts), spans, name)
    return root


def write_librilight_file(path: Path, wav: np.ndarray, spans: list, speaker: str) -> None:
    """A recording and what is published about it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav, RATE)
    about = {
        "speaker": speaker,
        "book_meta": {"id": "319", "title": "Sea stories", "language": "English", "genre": ["Sea"]},
        "snr": 5.391,
        "voice_activity": spans,
    }
    path.with_suffix(".json").write_text(json.dumps(about))


def write_librispeech(root: Path, part: str, speakers: dict[str, int], *, sentences=2, words=18) -> Path:
    """LibriSpeech/<part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac and the chapter's transcripts."""
    for name, voice in speakers.items():
        chapter = root / "LibriSpeech" / part / name / "1240"
        chapter.mkdir(parents=True)
        lines = []
        for number in range(sentences):
            wav, text = say(voice, 100 + number, words)
            soundfile.write(chapter / f"{name}-1240-{number:04d}.flac", wav, RATE)
            lines.append(f"{name}-1240-{number:04d} {text.upper()}\n")
        (chapter / f"{name}-1240.trans.txt").write_text("".join(lines))
    return root


# Trainings that are made on request only; no option but the request names their configuration.
ON_REQUEST = ("pretrain_text_to_semantic", "train_semantic_to_text")


def tiny_configs(folder: Path, configs: dict, **training) -> list[str]:
    """Write configurations as small as can be; returns the engine's options that name them."""
    import yaml

    folder.mkdir(parents=True)
    options = []
    for name, sections in configs.items():
        if name in ON_REQUEST:
            continue
        (folder / f"{name}.yaml").write_text("# tiny\n" + yaml.safe_dump({**sections, "training": training}))
        options += [f"--{name.removeprefix('train_').replace('_', '-')}-config", str(folder / f"{name}.yaml")]
    return options
