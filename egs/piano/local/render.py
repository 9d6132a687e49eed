"""Recordings of MIDI files, played by FluidSynth with a sound font."""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from pieces import Piece

from soundstorm.data.audio import resample, write_audio

logger = logging.getLogger(__name__)
SOUND_FONTS = ("/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/sounds/sf2/TimGM6mb.sf2")  # Debian's
INSTALL = "Debian has it: make -C tools system, or apt-get install fluidsynth timgm6mb-soundfont"
RENDERED_RATE = 48000  # Hz; FluidSynth does not filter what a lower rate cannot hold
LOUDEST = 0.9  # of full scale, in each recording
SILENCE = 1e-3  # of the loudest sample: what is below at both ends is cut off
BLOCK = 1 << 20  # frames


def find_sound_font(given: Path | None) -> Path:
    """The sound font asked for, or the best one that Debian's packages have put in their place."""
    for path in [given] if given else map(Path, SOUND_FONTS):
        if path.is_file():
            return path.resolve()
    raise FileNotFoundError(f"--soundfont: no such file {given}" if given else f"no sound font there. {INSTALL}")


def render_all(pieces: list[Piece], folder: Path, sound_font: Path, *, sample_rate: int, nj: int) -> list[Piece]:
    """The pieces with recordings in the place of MIDI files; those that are there already are kept.

    A recording's name has a digest of what it is made of, so that no other music is taken for it or replaces it.

    Args:
        pieces: MIDI files.
        folder: Where recordings go, in a folder named as sound font and sample rate.
        sound_font: SF2 or SF3 file.
        sample_rate: Hz of the recordings.
        nj: So many at a time.

    Raises:
        FileNotFoundError: FluidSynth is not installed.
        ValueError: A file that FluidSynth cannot play.
    """
    program = shutil.which("fluidsynth")
    if program is None:
        raise FileNotFoundError(f"no program fluidsynth on the PATH. {INSTALL}")
    folder = (folder / f"{sound_font.stem}_{sample_rate}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    font = hashlib.sha256(sound_font.read_bytes()).digest()

    def render(piece: Piece) -> Piece:
        digest = hashlib.sha256(font + piece.path.read_bytes()).hexdigest()
        target = folder / f"{piece.name}-{digest[:8]}.flac"
        if not target.exists():
            logger.info("playing %s", piece.path)
            write_audio(target, play(program, piece.path, sound_font, sample_rate), sample_rate, kind="FLAC")
        return piece._replace(path=target)

    with ThreadPoolExecutor(nj) as pool:
        return list(pool.map(render, pieces))


def play(program: str, midi: Path, sound_font: Path, sample_rate: int) -> np.ndarray:
    """Samples (S,) of a MIDI file, without silence at the ends, its loudest one at 0.9."""
    with TemporaryDirectory() as folder:
        wav = Path(folder, "played.wav")
        command = [program, "-ni", "-q", "-g", "0.5", "-r", str(RENDERED_RATE), "-O", "float", "-T", "wav", "-F", wav]
        # Absolute paths: nothing can be taken for an option.
        done = subprocess.run([*command, sound_font, midi.resolve()], capture_output=True, text=True, errors="replace")
        if done.returncode or not wav.is_file():
            raise ValueError(f"{midi}: FluidSynth cannot play it ({done.stderr.strip()[-300:]}); remove or repair it")
        with soundfile.SoundFile(wav) as stream:
            samples = np.concatenate(
                [block.mean(1) for block in stream.blocks(BLOCK, dtype="float32", always_2d=True)]
                or [np.zeros(0, np.float32)]
            )
    samples = resample(samples, RENDERED_RATE, sample_rate)
    level = np.abs(samples)
    heard = np.flatnonzero(level > SILENCE * level.max(initial=0.0))
    if not len(heard):
        raise ValueError(f"{midi}: nothing is to be heard of it; remove or repair it, or give another --soundfont")
    return samples[heard[0] : heard[-1] + 1] * (LOUDEST / level.max())
