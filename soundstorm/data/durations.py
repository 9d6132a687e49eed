"""Durations of utterances for `utt2dur`, from segments or from the headers of audio files."""

from __future__ import annotations

from soundstorm.data.data_dir import Segment, Table


def format_seconds(seconds: float) -> str:
    """Write a duration so that the number of samples can be told from it at any usual rate."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def durations_of_segments(segments: dict[str, Segment]) -> Table:
    """Make `utt2dur` of `segments`."""
    return {utterance: format_seconds(segment.end - segment.start) for utterance, segment in segments.items()}


def durations_of_headers(wav_scp: Table) -> tuple[Table, list[str]]:
    """Make `utt2dur` of the headers of audio files.

    Args:
        wav_scp: Utterance to path.

    Returns:
        The durations, and a message for each file that cannot be read.
    """
    import soundfile  # here, so that the other tools do not wait for it

    durations, failures = {}, []
    for utterance, path in wav_scp.items():
        try:
            info = soundfile.info(path)
        except (OSError, RuntimeError, TypeError) as error:
            failures.append(f"{utterance}: {error}")
            continue
        if info.frames <= 0:
            failures.append(f"{utterance}: {path} has no samples")
            continue
        durations[utterance] = format_seconds(info.frames / info.samplerate)
    return durations, failures
