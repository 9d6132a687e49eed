"""A static listening page of systems side by side; works from disk, without network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import numpy as np

from soundstorm.data.data_dir import write_bytes
from soundstorm.data.text import TURN_MARKER

ASSETS = Path(__file__).parent / "listening_page_assets"


@dataclass(frozen=True)
class Clip:
    """One system's version of one utterance."""

    system: str
    wav: np.ndarray  # float32 (S,)
    notes: Mapping[str, str] = field(
        default_factory=dict
    )  # shown under it: what a recogniser read, its errors


@dataclass(frozen=True)
class Example:
    """One utterance in all its versions."""

    name: str
    text: str  # with the turn marker between turns of a dialogue
    clips: Sequence[Clip]
    turns: Sequence[tuple[str, str]] = ()  # instead: voice and words of each turn


def write_page(
    folder: Path,
    examples: Sequence[Example],
    *,
    title: str,
    sample_rate: int,
    intro: str = "",
    figures: Mapping[str, Path] | None = None,
    embed: bool = False,
) -> Path:
    """Write `index.html` with its `audio/` beside it, or embedded.

    Args:
        folder: Where.
        examples: What to hear.
        title: Heading.
        sample_rate: Hz.
        intro: One paragraph.
        figures: Title to PNG file in `folder` or below.
        embed: Put audio and pictures into the page.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(folder, number, example, sample_rate, embed) for number, example in enumerate(examples)]
    pictures = [_figure(folder, name, path, embed) for name, path in (figures or {}).items()]
    page = Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        intro=html.escape(intro),
        style=(ASSETS / "page.css").read_text(encoding="utf-8"),
        script=(ASSETS / "page.js").read_text(encoding="utf-8"),
        rows="\n".join(rows),
        figures="\n".join(pictures),
        figures_hidden="" if pictures else "hidden",
    )
    return _replace(folder / "index.html", page.encode("utf-8"))


def _row(folder: Path, number: int, example: Example, sample_rate: int, embed: bool) -> str:
    cells = [
        _cell(folder, number, position, example, clip, sample_rate, embed)
        for position, clip in enumerate(example.clips)
    ]
    return (
        f'<section class="row" aria-label="{html.escape(example.name)}">\n'
        f"<h2>{html.escape(example.name)}</h2>\n{_words(example)}\n"
        f'<div class="clips">\n{"".join(cells)}</div>\n</section>'
    )


def _words(example: Example) -> str:
    """Transcript: a paragraph, or a list with an item for each turn."""
    turns = example.turns or [("", words.strip()) for words in example.text.split(TURN_MARKER)]
    if len(turns) == 1 and not turns[0][0]:
        return f'<p class="text">{html.escape(example.text)}</p>'
    items = [
        f"<li>{f'<b>{html.escape(voice)}</b> ' if voice else ''}{html.escape(words)}</li>"
        for voice, words in turns
    ]
    return f'<ol class="text turns">\n{chr(10).join(items)}\n</ol>'


def _cell(
    folder: Path, number: int, position: int, example: Example, clip: Clip, sample_rate: int, embed: bool
) -> str:
    stem = f"{number:02d}_{position:02d}"
    audio = _asset(folder, f"audio/{stem}.flac", encode_flac(clip.wav, sample_rate), "audio/flac", embed)
    image = _asset(folder, f"audio/{stem}.png", spectrogram_png(clip.wav, sample_rate), "image/png", embed)
    seconds = len(clip.wav) / sample_rate
    notes = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in clip.notes.items())
    label = html.escape(f"{clip.system}, {example.name}, {seconds:.1f} seconds")
    return (
        f'<figure class="clip" tabindex="-1" aria-label="{label}">\n'
        f"<figcaption>{html.escape(clip.system)} <small>{seconds:.1f} s</small></figcaption>\n"
        f'<div class="spectrogram"><img src="{image}" alt="Spectrogram of {label}" loading="lazy">'
        f'<span class="playhead" aria-hidden="true"></span></div>\n'
        f'<audio controls preload="none" src="{audio}" aria-label="{label}"></audio>\n'
        f"{f'<dl>{notes}</dl>' if notes else ''}</figure>\n"
    )


def _figure(folder: Path, name: str, path: Path, embed: bool) -> str:
    source = _data_uri(path.read_bytes(), "image/png") if embed else path.relative_to(folder).as_posix()
    return f'<figure><img src="{source}" alt="{html.escape(name)}" loading="lazy"></figure>'


def _asset(folder: Path, name: str, content: bytes, kind: str, embed: bool) -> str:
    if embed:
        return _data_uri(content, kind)
    _replace(folder / name, content)
    return name


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _replace(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
    return path


def encode_flac(wav: np.ndarray, sample_rate: int) -> bytes:
    """Lossless and half the size: a lossy format would add its own artefacts to the comparison."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wav, -1.0, 1.0), sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def spectrogram_png(wav: np.ndarray, sample_rate: int) -> bytes:
    """A small picture: 80 dB of log magnitude, time to the right, frequency up to half the sample rate.

    Args:
        wav: float32 (S,)
        sample_rate: Hz.
    """
    height, max_width = 96, 480  # narrower for short clips, so that a second is as wide in every picture of a page
    import matplotlib
    from matplotlib import image

    window = int(0.032 * sample_rate)
    hop = max(int(0.016 * sample_rate), -(-len(wav) // max_width))
    padded = np.pad(wav.astype(np.float64), (window // 2, window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[: len(wav) : hop] * np.hanning(window)
    level = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=-1)) + 1e-9)  # (frames, bins) in dB
    # The largest value of the bins that share a pixel, so that thin harmonics stay visible.
    edges = np.linspace(0, level.shape[1], height + 1).astype(int)
    pixels = np.stack([level[:, a : max(b, a + 1)].max(axis=1) for a, b in zip(edges, edges[1:])])[::-1]
    scaled = np.clip((pixels - pixels.max() + 80.0) / 80.0, 0.0, 1.0)
    buffer = io.BytesIO()
    colors = matplotlib.colormaps["magma"](scaled, bytes=True)[:, :, :3]
    image.imsave(buffer, np.ascontiguousarray(colors), format="png", metadata={"Software": None})
    return buffer.getvalue()
