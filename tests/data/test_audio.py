"""Reading recordings: what is wrong with a file is said, with the file's name."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import soundfile

from soundstorm.data.audio import READERS, Utterances, num_samples, read_audio, write_audio


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "a.wav"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    write_audio(path, samples, 16000)
    return path, samples


def test_what_is_written_is_read_back(wav):
    path, samples = wav
    np.testing.assert_allclose(read_audio(path, 16000), samples, atol=1 / 32768)
    assert [p.name for p in path.parent.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG"])
def test_long_speech_is_written_whole(tmp_path, kind):
    # In a process of its own: libvorbis ended it with a segmentation fault.
    code = (
        "import sys, numpy; from soundstorm.data.audio import write_audio; "
        "write_audio(sys.argv[1], numpy.sin(numpy.arange(24000 * 200) / 20), 24000, kind=sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "long"), kind], check=True)
    with soundfile.SoundFile(str(tmp_path / "long")) as stream:
        assert (stream.format, stream.frames, stream.samplerate) == (kind, 24000 * 200, 24000)
        stream.seek(24000 * 199)
        np.testing.assert_allclose(stream.read(), np.sin(np.arange(24000 * 199, 24000 * 200) / 20), atol=0.05)


def without_length(flac: bytes) -> bytes:
    """A FLAC file as an encoder that writes to a pipe leaves it: no number of samples in its header."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def test_a_header_without_length_is_named(tmp_path, wav):
    path, samples = tmp_path / "a.flac", wav[1]
    soundfile.write(path, samples, 16000)
    path.write_bytes(without_length(path.read_bytes()))
    for options in ({}, {"start": 0.1, "end": 0.2}, {"crop": lambda count: slice(count - 10, count)}):
        with pytest.raises(ValueError, match=r"a\.flac: its header has no length, .* by --audio-format flac"):
            read_audio(path, 16000, **options)


def test_a_part_is_cut_by_the_one_rounding_rule(wav):
    path, samples = wav
    part = read_audio(path, 16000, start=0.10003, end=0.5)
    np.testing.assert_allclose(part, samples[1600:8000], atol=1 / 32768)
    assert [num_samples(seconds, 16000) for seconds in (0.10003, 0.100035, 1 / 32000)] == [1600, 1601, 1]


def test_broken_files_are_named_with_what_is_wrong(tmp_path, wav):
    path, samples = wav
    cases = {
        "missing.wav": (None, FileNotFoundError, "no such recording"),
        "empty.wav": (b"", ValueError, "cannot be read as audio"),
        "text.wav": (b"not audio at all" * 100, ValueError, "cannot be read as audio"),
        "cut.wav": (path.read_bytes()[:20], ValueError, "cannot be read as audio"),
    }
    for name, (content, error, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(error, match=f"{name}: {message}"):
            read_audio(tmp_path / name, 16000)


@pytest.mark.parametrize(
    "samples, rate, message",
    [
        (np.zeros((100, 2)), 16000, "2 channels but 1 is needed"),
        (np.zeros(100), 8000, "sample rate is 8000 Hz but 16000 Hz is needed; resample"),
        (np.zeros(0), 16000, "no samples between"),
        (np.array([0.0, np.nan, np.inf]), 16000, "2 samples are NaN or infinite"),
    ],
)
def test_unusable_audio_is_refused(tmp_path, samples, rate, message):
    soundfile.write(tmp_path / "b.wav", samples, rate, subtype="FLOAT")
    with pytest.raises(ValueError, match=message):
        read_audio(tmp_path / "b.wav", 16000)


def test_utterances_come_from_segments_where_there_are_some(tmp_path, wav):
    path, samples = wav
    (tmp_path / "wav.scp").write_text(f"reco {path}\n")
    (tmp_path / "segments").write_text("u1 reco 0.1 0.3\nu2 reco 0.5 1.0\n")
    utterances = Utterances(tmp_path, 16000)
    assert list(utterances.ids) == ["u1", "u2"]
    np.testing.assert_allclose(utterances.durations, [0.2, 0.5])
    np.testing.assert_allclose(utterances.read("u2"), samples[8000:], atol=1 / 32768)
    with pytest.raises(ValueError, match="no utterance 'u3'"):
        Utterances(tmp_path, 16000, ["u3"])


def test_sources_follow_the_audio_and_not_its_place(tmp_path, wav, monkeypatch):
    monkeypatch.setattr("soundstorm.data.audio.STAT_BLOCK", 2)
    path, samples = wav

    def sources(data, start="0.1", name=path):
        data.mkdir(exist_ok=True)
        (data / "wav.scp").write_text(f"r1 {name}\nr2 {path}\nr3 {path}\nr4 {tmp_path}\nr5 {tmp_path}/none.wav\n")
        (data / "segments").write_text(f"u1 r1 {start} 0.3\nu2 r2 0.5 1.0\nu3 r3 0 -1\nu4 r4 0 1\nu5 r5 0 1\n")
        return Utterances(data, 16000).sources(["u2", "u1", "u3", "u4", "other", "u5"])

    first = sources(tmp_path / "data")
    assert first == ["0.5 1.0 32044", "0.1 0.3 32044", "0.0 nan 32044", "0.0 1.0", "", "0.0 1.0"]
    copied = tmp_path / "moved/b.wav"
    copied.parent.mkdir()
    copied.write_bytes(path.read_bytes())
    assert sources(tmp_path / "data", "0.10", copied) == first
    assert sources(tmp_path / "other", "0.2")[:2] == [first[0], "0.2 0.3 32044"]
    write_audio(copied, samples[:8000], 16000)
    assert sources(tmp_path / "data", name=copied) == [first[0], "0.1 0.3 16044", *first[2:]]
    utterances = Utterances(tmp_path / "data", 16000, ["u3", "u2"])
    assert utterances.sources(["u1", "u3"]) == ["", first[2]] == utterances.part(["u3"]).sources(["u2", "u3"])


def test_durations_come_from_headers_without_utt2dur(tmp_path, wav):
    (tmp_path / "wav.scp").write_text(f"u {wav[0]}\n")
    assert Utterances(tmp_path, 16000).durations.tolist() == [1.0]


def test_parts_do_not_read_the_durations_again(tmp_path, wav):
    """A part is a shard: there are a thousand, and the table has millions of lines."""
    (tmp_path / "wav.scp").write_text("".join(f"u{i} {wav[0]}\n" for i in range(4)))
    (tmp_path / "utt2dur").write_text("u0 1.5\nu1 2\nu2 2.5\n")  # that of u3 is in its header
    utterances = Utterances(tmp_path, 16000)
    assert utterances.part(["u2", "u0"]).durations.tolist() == [2.5, 1.5]
    (tmp_path / "utt2dur").write_text("u1 7\n")
    assert utterances.part(["u1", "u3"]).durations.tolist() == [2, 1]
    assert utterances.part(["u3", "u0"]).part(["u0"]).durations.tolist() == [1.5]
    assert utterances.durations.tolist() == [1.5, 2, 2.5, 1]


def test_a_higher_rate_is_brought_down_where_that_is_allowed(tmp_path):
    time = np.arange(48000) / 24000
    soundfile.write(tmp_path / "c.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 24000, subtype="FLOAT")
    with pytest.raises(ValueError, match="sample rate is 24000 Hz but 16000 Hz is needed"):
        read_audio(tmp_path / "c.wav", 16000)
    wav = read_audio(tmp_path / "c.wav", 16000, start=0.5, end=1.75, lower=True)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (0.5 + np.arange(20000) / 16000))
    assert wav.dtype == np.float32 and len(wav) == 20000
    np.testing.assert_allclose(wav[500:-500], expected[500:-500], atol=1e-3)  # filters ring at the ends
    with pytest.raises(ValueError, match="sample rate is 24000 Hz but 48000 Hz is needed"):
        read_audio(tmp_path / "c.wav", 48000, lower=True)


def test_utterances_may_have_a_higher_rate(tmp_path):
    soundfile.write(tmp_path / "c.wav", np.ones(24000), 24000)
    (tmp_path / "wav.scp").write_text(f"u {tmp_path}/c.wav\n")
    assert len(Utterances(tmp_path, 16000, lower=True).read("u")) == 16000
    with pytest.raises(ValueError, match="sample rate is 24000 Hz"):
        Utterances(tmp_path, 16000).read("u")


def write_utterances(folder, number):
    rng = np.random.default_rng(0)
    for utt in range(number):
        write_audio(folder / f"u{utt:02}.wav", rng.uniform(-0.5, 0.5, 1000 + utt), 16000)
    (folder / "wav.scp").write_text("".join(f"u{utt:02} {folder}/u{utt:02}.wav\n" for utt in range(number)))
    return Utterances(folder, 16000)


def test_batches_read_ahead_are_what_is_read_one_by_one_and_a_broken_one_is_an_error_of_its_own(tmp_path):
    utterances = write_utterances(tmp_path, 20)
    (tmp_path / "u07.wav").write_text("no audio")
    batches, seen = [utterances.ids[first : first + 2] for first in range(0, 20, 2)], []
    for ids, read in utterances.read_ahead(iter(batches)):
        seen.append(ids)
        if "u07" in ids:
            with pytest.raises(ValueError, match="u07.wav: cannot be read as audio"):
                read.result()
            continue
        for utt, wav in zip(ids, read.result(), strict=True):
            np.testing.assert_array_equal(wav, utterances.read(utt))
    assert seen == batches


def test_reading_is_as_far_ahead_as_there_are_readers_and_ends_with_who_works(tmp_path):
    class Watched(Utterances):
        done, further = [], threading.Event()

        def read(self, utt):
            wav = super().read(utt)
            self.done.append(utt)
            if len(self.done) == READERS + 1:
                self.further.set()
            return wav

    write_utterances(tmp_path, 20)
    utterances, before = Watched(tmp_path, 16000), threading.active_count()
    batches = utterances.read_ahead([utt] for utt in utterances.ids)
    (utt,), _ = next(batches)
    assert utt == "u00" and utterances.further.wait(60)  # others are read while this one is worked on
    batches.close()
    assert sorted(utterances.done) == utterances.ids[: READERS + 1] and threading.active_count() == before
