"""Checking one value of a data-directory file: each function returns what is wrong with it, or nothing."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable

from soundstorm.data.data_dir import ID_PATTERN, parse_seconds, parse_segment
from soundstorm.data.errors import InputError

# The tab is white space. The others do not print and belong to the spelling of Persian, of Indic scripts and of
# emoji (non-joiner, joiner), or say where a word may be broken and how it is read (soft hyphen, directions).
SPELLING = "\t\u200c\u200d\u00ad\u200e\u200f\u061c"
MOST_PACE = 25.0  # letters a second that anyone says
MOST_TIMES_PACE, LEAST_TIMES_PACE = (
    4.0,
    0.05,
)  # of what most have: beyond, a transcript does not belong to its audio
FORMAT_TOOL = "utils/format_wav_scp.sh"
IN_ARCHIVE = re.compile(r"(.+):([0-9]+)")


def not_audio(name: object, error: Exception) -> str:
    """What to say of a file that libsndfile does not read."""
    reason = getattr(error, "error_string", error)
    return f"{name}: cannot be read as audio ({reason}); repair it, or make a WAV of it: ffmpeg -i RECORDING new.wav"


def is_command(value: str) -> bool:
    """Tell whether an entry of `wav.scp` is a pipe of Kaldi."""
    return value.endswith("|") or value.startswith("|")


def shorten(words: str) -> str:
    """Cut words to what fits into a message."""
    return words if len(words) <= 60 else words[:57] + "..."


def one_word(value: str) -> str:
    """Check a name, of a speaker or a language."""
    if ID_PATTERN.fullmatch(value):
        return ""
    return f"expected two fields, the second a name of A-Z a-z 0-9 . _ + -, got {shorten(value)!r}"


def not_empty(value: str) -> str:
    """Check that there is a value."""
    return "" if value else "has no value"


def audio_path(value: str) -> str:
    """Check that it is a path, which neither a command nor a ``~`` is."""
    if not value:
        return "has no path"
    if is_command(value):
        return (
            f"{shorten(value)!r} is a command; a pipe runs again at every read and hides its failures: write the audio "
            f"to files by {FORMAT_TOOL} --allow-pipes true, in a recipe by --audio-format flac --allow-pipes true"
        )
    if IN_ARCHIVE.fullmatch(value) and not os.path.isfile(value):
        return (
            f"{shorten(value)!r} is a place in an archive (ark), which is not read: write the audio to files by "
            f"{FORMAT_TOOL}, in a recipe by --audio-format flac"
        )
    if value.startswith("~"):
        return f"{shorten(value)!r} starts with ~, which only a shell understands; write the whole path"
    return ""


def segment(value: str) -> str:
    """Check recording, start and end of a segment."""
    try:
        parse_segment(value)
    except ValueError as error:
        return str(error)
    return ""


def has_words(value: str) -> bool:
    """Tell whether there is anything to pronounce: a letter or a digit, of any script."""
    return any(letter.isalnum() for letter in value) or any(
        map(str.isalnum, unicodedata.normalize("NFKC", value))
    )


def transcript(value: str, non_print: bool) -> str:
    """Check the words of an utterance; with ``non_print`` they may have characters that do not print."""
    if not value:
        return "the transcript is empty; leave the utterance out, or the file if there are no transcripts"
    if not has_words(value):
        return f"nothing to pronounce in {shorten(value)!r}; give it words or leave the utterance out"
    for letter in value:
        if letter.isspace() and letter not in " \t":
            return f"white space U+{ord(letter):04X} in the transcript; only blanks and tabs separate words"
        if not non_print and letter not in SPELLING and not letter.isprintable():
            return (
                f"character U+{ord(letter):04X} does not print (if this is by design, specify --non-print, "
                "in a recipe --validate-args --non-print)"
            )
    reserved = sorted({"<s>", "</s>", "#0"} & set(value.split()))
    return f"{reserved[0]} is reserved and cannot be a word of a transcript" if reserved else ""


def positive_seconds(value: str) -> str:
    """Check a duration."""
    try:
        return "" if parse_seconds(value) > 0 else f"expected seconds > 0, got {value}"
    except ValueError as error:
        return str(error)


def positive_integer(value: str) -> str:
    """Check a number of frames."""
    return "" if re.fullmatch(r"[1-9][0-9]*", value) else f"expected a positive integer, got {value!r}"


def gender(value: str) -> str:
    """Check the gender of a speaker."""
    return "" if value in ("m", "f") else f"expected m or f, got {value!r}"


def archive_offset(value: str) -> str:
    """Check a place in an archive."""
    return "" if re.fullmatch(r".+:[0-9]+", value) else f"expected <ark>:<offset>, got {shorten(value)!r}"


def phones(value: str) -> str:
    """Check the phones of an utterance, one on each line, in order of time."""
    previous = 0.0
    for line in value.split("\n"):
        fields = line.split()
        try:
            if len(fields) != 4:
                raise InputError(
                    f"expected <utterance> 1 <start> <duration> <phone>, got {len(fields) + 1} fields"
                )
            start, duration = parse_seconds(fields[1]), parse_seconds(fields[2])
            if start < previous or duration < 0:
                raise InputError(f"phone {fields[3]} at {start} s: expected times sorted and durations >= 0")
        except ValueError as error:
            return str(error)
        previous = start
    return ""


CHECKS: dict[str, Callable[[str], str]] = {
    "utt2dur": positive_seconds,
    "reco2dur": positive_seconds,
    "utt2rate": positive_integer,
    "utt2num_frames": positive_integer,
    "utt2num_acoustic_frames": positive_integer,
    "spk2gender": gender,
    "semantic.scp": archive_offset,
    "acoustic.scp": archive_offset,
    "utt2lang": one_word,
    "utt2uniq": one_word,
    "phones.ctm": phones,
}
