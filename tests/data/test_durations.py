"""What stage 0 finds in recordings: every way one can be unusable; lengths, rates, ends of segments."""

from __future__ import annotations

import numpy as np
import pytest

from soundstorm.data.data_dir import DataDir, Segment, read_table, write_table
from soundstorm.data.durations import (
    AudioFault,
    Recording,
    cut_segments,
    inspect,
    inspect_all,
    is_known,
    merge,
    read_found,
)

soundfile = pytest.importorskip("soundfile")
FORMATS = [
    ("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("WAV", "FLOAT"), ("RF64", "PCM_16"), ("W64", "PCM_16"),
    ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


def voice(seconds=2.0, rate=16000, seed=0):
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 200 * time) * (1 + 0.1 * rng.standard_normal(len(time)))).astype(
        np.float32
    )


def written(path, wav, rate=16000, **options):
    soundfile.write(path, wav, rate, **options)
    return str(path)


@pytest.mark.parametrize("kind, subtype", FORMATS)
@pytest.mark.parametrize("samples", [False, True])
def test_whole_recordings_of_all_formats_pass_and_cut_ones_do_not(tmp_path, kind, subtype, samples):
    path = tmp_path / "a"
    found = inspect(written(path, voice(6.0), format=kind, subtype=subtype), samples=samples)
    assert (found.seconds, found.rate) == (6.0, 16000)
    assert (found.peak is not None) == (samples or subtype == "FLOAT") and (found.peak or 0.4) < 1
    content = path.read_bytes()
    for share in (0.3, 0.6, 0.95):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(AudioFault, match="truncated") as caught:
            inspect(str(path), samples=samples)
        assert caught.value.kind == "truncated"


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\x00\xff\xff\x7f"])
def test_a_wav_whose_writer_did_not_know_its_length_is_whole(tmp_path, size):
    content = bytearray(open(written(tmp_path / "a.wav", voice()), "rb").read())
    content[4:8] = content[40:44] = size
    (tmp_path / "a.wav").write_bytes(content)
    assert inspect(str(tmp_path / "a.wav")).seconds == 2.0


def test_an_untidy_size_in_a_header_is_no_truncation(tmp_path):
    content = bytearray(open(written(tmp_path / "a.wav", voice()), "rb").read())
    content[4:8] = (int.from_bytes(content[4:8], "little") + 8).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    assert inspect(str(tmp_path / "a.wav")).seconds == 2.0


def damaged(path, kind):
    wav = voice()
    if kind == "not finite":
        wav[[5, 9]] = np.nan, np.inf
        return written(path, wav, format="WAV", subtype="FLOAT")
    if kind == "scale":
        return written(path, wav * 32768, format="WAV", subtype="FLOAT")
    if kind == "channels":
        return written(path, np.stack([wav, wav], axis=1), format="WAV")
    if kind == "empty":
        return written(path, wav[:0], format="WAV")
    if kind == "unreadable":
        path.write_text("no audio")
    return str(path)


@pytest.mark.parametrize(
    "kind, message",
    [
        ("not finite", "2 samples are NaN or infinite"),
        ("scale", r"float samples reach \d+(\.\d+)?, expected -1 to 1; divide them by 32768"),
        ("channels", "has 2 channels, expected 1"),
        ("empty", "has no samples"),
        ("unreadable", r"cannot be read as audio \(Format not recognised.\); .* ffmpeg -i"),
        ("missing", "no such file"),
    ],
)
def test_what_cannot_be_used_is_told_without_reading_samples_of_integers(tmp_path, kind, message):
    path = damaged(tmp_path / "a", kind)
    with pytest.raises(AudioFault, match=message) as caught:
        inspect(path)
    assert caught.value.kind == kind and path in str(caught.value)


def test_silence_is_told_where_samples_are_looked_at(tmp_path):
    path = written(tmp_path / "a.wav", np.zeros(16000))
    assert inspect(path).peak is None
    with pytest.raises(AudioFault, match="a.wav is silent: all samples are 0"):
        inspect(path, samples=True)


def test_all_faulty_recordings_of_a_job_are_named(tmp_path):
    table = {
        kind.replace(" ", "-"): damaged(tmp_path / kind, kind) for kind in ("scale", "empty", "not finite")
    }
    table |= {"good": written(tmp_path / "b.wav", voice()), "pipe": "sox a.wav -t wav - |"}
    found, faults = inspect_all(table)
    assert found == {"good": "2 16000 -"}
    assert list(faults) == ["scale", "empty", "not-finite", "pipe"]
    assert faults["empty"] == f"empty: {tmp_path}/empty has no samples" and "is a command" in faults["pipe"]


LENGTHS = {"r": Recording(10.0, 16000, None)}


@pytest.mark.parametrize(
    "start, end, expected",
    [
        (1.0, 9.5, 8.5),
        (1.0, 10.0, 9.0),
        (1.0, 10.009, 9.0),  # rounding
        (1.0, 10.3, "ends 0.3 s after the end of r and is cut there"),
        (1.0, None, 9.0),
        (1.0, 10.6, "segment: from 1 s to 10.6 s of r, which is 10 s long"),
        (10.0, None, "segment: from 10 s to the end of r, which is 10 s long"),
        (12.0, 12.4, "segment: from 12 s to 12.4 s of r, which is 10 s long"),
    ],
)
def test_segments_end_with_their_recordings(start, end, expected):
    seconds, cuts, faults = cut_segments({"a": Segment("r", start, end), "b": Segment("gone", 0, 1)}, LENGTHS)
    if isinstance(expected, float):
        assert (seconds, cuts, faults) == ({"a": pytest.approx(expected)}, {}, {})
    elif expected.startswith("ends"):
        assert (seconds, cuts, faults) == ({"a": pytest.approx(9.0)}, {"a": expected}, {})
    else:
        assert (seconds, cuts, faults) == ({}, {}, {"a": expected})


@pytest.fixture
def directory(tmp_path):
    write_table(tmp_path / "wav.scp", {f"u{n}": f"{n}.wav" for n in range(20)})
    return DataDir(tmp_path)


def found_in(directory, **others):
    return {name: Recording(2.0, 16000, None) for name in directory.key_table()} | others


def test_tables_are_made_once_and_again_when_the_set_changes(directory):
    assert not is_known(directory)
    report = merge(directory, found_in(directory, u3=Recording(1.5, 16000, None)), {}, least=0.95)
    assert not report.faults and not report.changes and not report.missing
    assert directory.table("utt2dur")["u3"] == directory.table("reco2dur")["u3"] == "1.5"
    assert set(directory.table("utt2rate").values()) == {"16000"} and not directory.has("reco2peak")
    assert is_known(directory) and not is_known(directory, samples=True)
    merge(directory, {n: Recording(2.0, 16000, 0.5) for n in directory.key_table()}, {}, least=0.95)
    assert is_known(directory, samples=True) and directory.table("reco2peak")["u3"] == "0.5"
    write_table(directory.path / "wav.scp", {f"u{n}": f"{n}.flac" for n in range(20)})
    assert not is_known(directory)


def test_durations_that_are_there_stay_unless_the_recording_says_otherwise(directory):
    write_table(directory.path / "utt2dur", {"u1": "2.0000001", "u2": "7", "u3": "2.005"})
    report = merge(directory, found_in(directory), {}, least=0.95)
    durations = directory.table("utt2dur")
    assert (durations["u1"], durations["u2"], durations["u3"], durations["u4"]) == (
        "2.0000001",
        "2",
        "2.005",
        "2",
    )
    assert report.changes == ["u2 lasts 2 s, not 7 as utt2dur had it"]


def test_recordings_of_another_rate_than_most_are_left_out_and_counted(directory):
    found = found_in(directory, u7=Recording(2.0, 8000, None))
    del found["u9"]
    report = merge(directory, found, {"u9": "channels: 9.wav has 2 channels, expected 1"}, least=0.9)
    assert report.missing == ["u7", "u9"] and report.counts == {"rate": 1, "channels": 1}
    assert "u7: 8000 Hz, where 18 of 19 recordings have 16000 Hz" in report.faults
    assert directory.table("utt2dur").keys() == found_in(directory).keys() - {"u7", "u9"}


def test_too_many_faulty_recordings_write_no_durations(directory):
    report = merge(directory, {"u1": Recording(2.0, 16000, None)}, {}, least=0.95)
    assert len(report.missing) == 19 and not directory.has("utt2dur") and directory.has("reco2dur")


def test_what_jobs_found_is_read_back(tmp_path):
    found, _ = inspect_all({"a": written(tmp_path / "a.wav", voice(1.25, 8000), 8000)}, samples=True)
    write_table(tmp_path / "part", found)
    (recording,) = read_found([tmp_path / "part"]).values()
    assert recording == (1.25, 8000, pytest.approx(np.abs(voice(1.25, 8000)).max(), rel=1e-3))
    assert read_table(tmp_path / "part")["a"].startswith("1.25 8000 0.")
