"""A few seconds of a voice, from whatever recording a user has: prepared, and encoded once."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import read_to_end, resample
from soundstorm.data.data_dir import looked_for, write_bytes
from soundstorm.data.data_dir_values import not_audio
from soundstorm.data.errors import InputError
from soundstorm.decoding.dialogue import Passage

logger = logging.getLogger(__name__)
SECONDS = 3.0  # of a prompt, as the paper's
LEAST_SECONDS = 1.0
MOST_SECONDS = 10.0  # of a recording whose words are given, which therefore stays whole
SILENCE_DB = -60.0  # RMS, relative to full scale
FORMAT = "soundstorm-prompt-1"


class Sound(NamedTuple):
    """Samples ``(S,)``, or ``(S, C)`` of several channels, from -1 to 1 or integers of their type's full range, and
    their rate in Hz."""

    samples: np.ndarray
    sample_rate: int
    name: str = "the array"  # for messages


def read_sound(path: str | Path) -> Sound:
    """A recording of any rate and number of channels.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no audio.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such recording{looked_for(Path(path))}; check the path")
    with open(path, "rb") as stream:
        return decode_sound(stream, str(path))


def decode_sound(stream: BinaryIO, name: str, most: int | None = None) -> Sound:
    """The same of a file's content.

    Args:
        stream: where the content is read.
        name: of the recording, for messages.
        most: samples that it may have, of all channels: a small file can hold hours of silence.

    Raises:
        ValueError: it is no audio, or more than that.
    """
    import soundfile

    try:
        with soundfile.SoundFile(stream) as recording:
            longest = sys.maxsize if most is None else most // recording.channels
            samples = read_to_end(recording, longest + 1)
            if len(samples) > longest:
                raise InputError(
                    f"{name}: has more than {longest / recording.samplerate:.0f} s of {recording.channels} channels at "
                    f"{recording.samplerate} Hz, expected {most} samples at most; cut it"
                )
            return Sound(samples, recording.samplerate, name)
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError, TypeError) as error:
        raise InputError(not_audio(name, error)) from error


def one_channel(sound: Sound, sample_rate: int, name: str) -> np.ndarray:
    """Samples ``(S,)`` at ``sample_rate``, channels averaged; what was changed is logged.

    Raises:
        ValueError: no samples, samples that are not finite, more than two dimensions, or silence.
    """
    wav, rate = np.asarray(sound.samples), sound.sample_rate
    if wav.dtype.kind in "iu":  # as scipy and gradio read files; without a sign, silence is in the middle
        full = 2.0 ** (8 * wav.dtype.itemsize - 1)
        wav = wav / full - (wav.dtype.kind == "u")
    wav = wav.astype(np.float32)
    if wav.ndim not in (1, 2) or not wav.size:
        raise InputError(f"{name}: samples of shape {wav.shape}, expected (S,) or (S, channels) with S above 0")
    if not isinstance(rate, (int, np.integer)) or not 1000 <= rate <= 1_000_000:
        raise InputError(f"{name}: sample rate is {rate!r:.40}, expected Hz between 1000 and 1000000")
    if not np.isfinite(wav).all():
        raise InputError(f"{name}: {int((~np.isfinite(wav)).sum())} samples are NaN or infinite; record it again")
    if wav.ndim == 2:
        if wav.shape[1] > 1:
            logger.info("%s: %d channels are averaged", name, wav.shape[1])
        wav = wav.mean(1)
    if rate != sample_rate:
        logger.info("%s: resampled from %d to %d Hz", name, rate, sample_rate)
        wav = resample(wav, rate, sample_rate)
    level = 10 * np.log10(float(np.mean(np.square(wav), dtype=np.float64)) + 1e-20) if len(wav) else -200.0
    if level < SILENCE_DB:
        raise InputError(f"{name}: is silent ({level:.0f} dB, expected above {SILENCE_DB:g}); check the microphone")
    return wav


def long_enough(sound: Sound, sample_rate: int, name: str) -> np.ndarray:
    """What :func:`one_channel` returns, if that can serve as a prompt.

    Raises:
        ValueError: see there, or it is shorter than :data:`LEAST_SECONDS`.
    """
    wav = one_channel(sound, sample_rate, name)
    if len(wav) < LEAST_SECONDS * sample_rate:
        seconds = len(wav) / sample_rate
        raise InputError(f"{name}: lasts {seconds:.2f} s, expected {LEAST_SECONDS:g} s at least, better {SECONDS:g}")
    return wav


def prepare_prompt(sound: Sound, sample_rate: int, name: str, *, whole: bool = False) -> np.ndarray:
    """The part of a recording that is to be the prompt: ``(S,)`` at ``sample_rate``.

    Args:
        sound: the recording.
        sample_rate: the codec's.
        name: of the recording, for messages.
        whole: all of it, because its words are known; else the :data:`SECONDS` with the most energy.

    Raises:
        ValueError: it cannot serve, see :func:`one_channel`, or is too short or, whole, too long.
    """
    wav = long_enough(sound, sample_rate, name)
    seconds = len(wav) / sample_rate
    if whole:
        if seconds > MOST_SECONDS:
            raise InputError(
                f"{name}: lasts {seconds:.1f} s, expected {MOST_SECONDS:g} s at most of a prompt whose words are "
                "given; give a shorter one, or leave its words out"
            )
        return wav
    length = round(SECONDS * sample_rate)
    if len(wav) <= length:
        return wav
    start = loudest(wav, length)
    logger.info("%s: of its %.1f s those from %.1f s on are the prompt", name, seconds, start / sample_rate)
    return wav[start : start + length]


def loudest(wav: np.ndarray, length: int) -> int:
    """Where the ``length`` samples with the most energy begin."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(wav, dtype=np.float64))])
    return int(np.argmax(energy[length:] - energy[:-length]))


def save_prompt(path: str | Path, prompt: Passage, semantic: TokenizerInfo, acoustic: TokenizerInfo) -> None:
    """Write a prompt's tokens, as safetensors with its words and tokenizers, whole or not at all."""
    from safetensors.numpy import save

    about = {"format": FORMAT, "semantic": semantic.fingerprint, "acoustic": acoustic.fingerprint}
    about |= {"text": json.dumps(prompt.text)}
    write_bytes(Path(path), save({"semantic": prompt.semantic, "codes": prompt.codes}, metadata=about))


def load_prompt(path: str | Path, semantic: TokenizerInfo, acoustic: TokenizerInfo) -> Passage:
    """Read what :func:`save_prompt` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another format, or tokens of other tokenizers.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such prompt{looked_for(Path(path))}; check the path")
    try:
        with safe_open(str(path), framework="numpy") as stream:
            about = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
        text = json.loads(about.get("text", "null"))
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path}: not a saved prompt ({error}); save it again") from error
    made_by = (about.get("format"), about.get("semantic"), about.get("acoustic"))
    if made_by != (FORMAT, semantic.fingerprint, acoustic.fingerprint):
        raise InputError(f"{path}: a prompt of other models; save it again with these, from its recording")
    tokens, codes = tensors.get("semantic"), tensors.get("codes")
    good = (
        tokens is not None and codes is not None and tokens.dtype == codes.dtype == np.int64 and tokens.ndim == 1
        and codes.ndim == 2 and codes.shape[1] == acoustic.num_levels and min(tokens.size, codes.size) > 0
        and 0 <= tokens.min() <= tokens.max() < semantic.codebook_size
        and 0 <= codes.min() <= codes.max() < acoustic.codebook_size and isinstance(text, str | None)
    )  # fmt: skip
    if not good:
        raise InputError(f"{path}: damaged, its tokens are none of these models; save it again")
    return Passage((), text, tokens, codes)
