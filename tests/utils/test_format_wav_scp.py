"""utils/format_wav_scp.sh: audio of any kind of wav.scp as mono files of one rate."""

import io
import os
import struct

import kaldiio
import numpy as np
import pytest
import soundfile

from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.data_dir_check import validate_data_dir
from tests.data.test_audio import without_length

FORMAT = "utils/format_wav_scp.sh"
RATE = 16000
FLAC = {"write_function": "soundfile", "write_kwargs": {"format": "flac"}}


def noise(number, seconds=0.5, rate=RATE, channels=1):
    """16-bit samples, so that nothing is lost by writing them."""
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    return np.random.default_rng(number).integers(-8000, 8000, shape, dtype=np.int16)


@pytest.fixture
def write(shell):
    """Writes data/raw of values of wav.scp, utterances a-0, a-1, ..., and more tables."""

    def make(sources, **tables):
        names = [f"a-{number}" for number in range(len(sources))]
        shell.write("data/raw/wav.scp", "".join(f"{n} {s}\n" for n, s in zip(names, sources)))
        ids = [line.split()[0] for line in tables.get("segments", "").splitlines()] or names
        shell.write("data/raw/utt2spk", "".join(f"{n} a\n" for n in ids))
        shell.write("data/raw/text", "".join(f"{n} words of {n}\n" for n in ids))
        for name, content in tables.items():
            shell.write(f"data/raw/{name}", content)
        return ids

    (shell.root / "corpus").mkdir()
    return make


def read(shell, name="data/new"):
    """Utterance to samples, of a directory that must be valid."""
    validate_data_dir(shell.root / name)
    assert not (shell.root / name / "segments").exists()
    found = {}
    for utterance, path in read_table(shell.root / name / "wav.scp").items():
        found[utterance], rate = soundfile.read(shell.root / path, dtype="int16")
        assert soundfile.info(shell.root / path).subtype == "PCM_16"
        seconds = float(read_table(shell.root / name / "utt2dur")[utterance])
        assert seconds == pytest.approx(len(found[utterance]) / rate, abs=1e-6)
    return found


def run(shell, *options, source="data/raw", dest="data/new"):
    done = shell(FORMAT, *options, source, dest)
    fix = shell("utils/fix_data_dir.sh", dest) if done.returncode == 0 else None
    assert fix is None or "nothing to fix" in fix.stdout
    return done


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "au", "w64", "caf"])
def test_what_libsndfile_reads_is_written_to_the_last_bit(shell, write, suffix):
    soundfile.write(shell.root / f"corpus/x.{suffix}", noise(1), RATE)
    write([f"corpus/x.{suffix}"])
    done = run(shell)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "wrote 1 of 1 utterances to data/new/audio, data/new names them" in done.stdout
    assert np.array_equal(read(shell)["a-0"], noise(1))
    assert read_table(shell.root / "data/new/text") == {"a-0": "words of a-0"}


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_formats_are_read(shell, write, suffix):
    soundfile.write(shell.root / f"corpus/x.{suffix}", noise(1, rate=RATE) / 32768, RATE)
    write([f"corpus/x.{suffix}"])
    assert run(shell).returncode == 0
    assert 0.4 < len(read(shell)["a-0"]) / RATE < 0.7


def test_another_rate_is_resampled_by_soxr(shell, write):
    import soxr

    time = np.arange(24000) / 24000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(shell.root / "corpus/x.wav", tone, 24000, subtype="FLOAT")
    write(["corpus/x.wav"])
    assert run(shell, "--fs", "8000", "--audio-format", "wav").returncode == 0
    wav = read(shell)["a-0"] / 32768
    assert len(wav) == 8000 and read_table(shell.root / "data/new/wav.scp")["a-0"].endswith(".wav")
    assert np.abs(wav - soxr.resample(tone.astype(np.float32), 24000, 8000)).max() < 1e-4
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    assert np.abs(wav - expected)[100:-100].max() < 1e-3


@pytest.mark.parametrize("channel", [None, 1, 2])
def test_a_channel_is_chosen_or_all_are_averaged(shell, write, channel):
    both = noise(1, channels=2) // 2 * 2
    soundfile.write(shell.root / "corpus/x.wav", both, RATE)
    write(["corpus/x.wav"])
    assert run(shell, *(["--channel", str(channel)] if channel else [])).returncode == 0
    expected = both[:, channel - 1] if channel else both.sum(axis=1, dtype=np.int32) // 2
    assert np.array_equal(read(shell)["a-0"], expected)


def test_long_files_are_cut_by_segments(shell, write):
    soundfile.write(shell.root / "corpus/x.flac", noise(1, 3.0), RATE)
    more = [f"b-{n} a-0 0 {'1' if n > 5 else '4'}\n" for n in range(5, 99)]  # the first is beyond
    segments = "b-1 a-0 0.25 1.5\nb-2 a-0 1.5 2.0\nb-3 a-0 2.5 3.4\nb-4 a-0 2.0 -1\n" + "".join(more)
    write(["corpus/x.flac", "corpus/unused.flac"], segments=segments)
    done = run(shell)
    assert done.returncode == 0
    assert "utterance b-3: ends at 3.4 s, its recording at 3 s; cut there" in done.stderr
    assert "utterance b-5 of corpus/x.flac: ends at 4 s, its recording at 3 s\n" in done.stderr
    found = read(shell)
    for utterance, start, end in (("b-1", 0.25, 1.5), ("b-2", 1.5, 2.0), ("b-3", 2.5, 3.0), ("b-4", 2.0, 3.0)):
        assert np.array_equal(found[utterance], noise(1, 3.0)[round(start * RATE) : round(end * RATE)])


def kaldi_archive(path, items):
    """As Kaldi's wav-copy writes it: key, blank, the bytes of a WAV."""
    places = []
    with open(path, "wb") as archive:
        for key, content in items:
            archive.write(f"{key} ".encode())
            places.append(archive.tell())
            archive.write(content)
    return places


def as_bytes(wav, kind="WAV"):
    content = io.BytesIO()
    soundfile.write(content, wav, RATE, format=kind, subtype="PCM_16")
    return content.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_places_in_archives_of_kaldi_are_read(shell, write, kind):
    items = [(f"a-{n}", as_bytes(noise(n, 0.2 + 0.1 * n), kind)) for n in range(3)]
    places = kaldi_archive(shell.root / "wav.ark", items)
    write([f"wav.ark:{place}" for place in places])
    assert run(shell).returncode == 0
    found = read(shell)
    assert all(np.array_equal(found[f"a-{n}"], noise(n, 0.2 + 0.1 * n)) for n in range(3))


@pytest.mark.parametrize("options", [{}, {"write_function": "soundfile"}, FLAC])
def test_places_in_archives_of_kaldiio_are_read(shell, write, options):
    audio = {f"a-{n}": (RATE, noise(n, 0.3)) for n in range(2)}
    kaldiio.save_ark(str(shell.root / "wav.ark"), audio, scp=str(shell.root / "wav.scp"), **options)
    places = [value.rpartition(":")[2] for value in read_table(shell.root / "wav.scp").values()]
    write([f"wav.ark:{place}" for place in places])
    assert run(shell).returncode == 0
    assert all(np.array_equal(read(shell)[f"a-{n}"], noise(n, 0.3)) for n in range(2))


def test_commands_are_run_only_where_they_are_allowed(shell, write):
    soundfile.write(shell.root / "corpus/x.wav", noise(1), RATE)
    write(["touch ran; cat corpus/x.wav |"])
    done = run(shell)
    assert done.returncode == 1 and "pass --allow-pipes true" in done.stderr
    assert not (shell.root / "ran").exists() and not (shell.root / "data/new").exists()
    assert run(shell, "--allow-pipes", "true").returncode == 0
    assert np.array_equal(read(shell)["a-0"], noise(1)) and (shell.root / "ran").exists()


def test_a_header_of_unknown_length_is_what_a_pipe_has(shell, write):
    content = bytearray(as_bytes(noise(1)))
    content[4:8] = content[40:44] = struct.pack("<I", 0x7FFFF000)
    (shell.root / "corpus/x.wav").write_bytes(content)
    write(["cat corpus/x.wav | cat |"])
    assert run(shell, "--allow-pipes", "true").returncode == 0
    assert np.array_equal(read(shell)["a-0"], noise(1))


@pytest.mark.parametrize("source", ["corpus/x.flac", "cat corpus/x.flac |"])
def test_flac_that_an_encoder_wrote_to_a_pipe_has_no_length_and_is_read_to_its_end(shell, write, source):
    soundfile.write(shell.root / "corpus/x.flac", noise(1), RATE)
    path = shell.root / "corpus/x.flac"
    path.write_bytes(without_length(path.read_bytes()))
    write([source], segments="a-0-0 a-0 0.1 0.3\na-0-1 a-0 0.2 0.5\n")
    looked = shell("utils/get_utt2dur.sh", "data/raw")
    assert looked.returncode == 1
    assert source != "corpus/x.flac" or "its header has no length" in looked.stdout + looked.stderr
    assert run(shell, "--allow-pipes", "true").returncode == 0
    assert np.array_equal(read(shell)["a-0-0"], noise(1)[1600:4800])
    assert np.array_equal(read(shell)["a-0-1"], noise(1)[3200:])


def test_what_cannot_be_written_is_named_with_the_reason(shell, write):
    """One of each fault, among enough others."""
    soundfile.write(shell.root / "corpus/good.wav", noise(1), RATE)
    soundfile.write(shell.root / "corpus/empty.wav", noise(1, 0.0), RATE)
    soundfile.write(shell.root / "corpus/nan.wav", np.array([0.1, np.nan, 0.1]), RATE, subtype="FLOAT")
    soundfile.write(shell.root / "corpus/loud.wav", noise(1).astype(np.float32), RATE, subtype="FLOAT")
    (shell.root / "corpus/text.wav").write_text("no audio\n")
    (shell.root / "corpus/cut.wav").write_bytes((shell.root / "corpus/good.wav").read_bytes()[:9000])
    (shell.root / "x.ark").write_bytes(b"a-8 \0BFM ")
    faults = {
        "corpus/none.wav": f"no such file in {shell.root}: its path is relative",
        "corpus/empty.wav": "nothing from 0 s on, the recording has 0 s",
        "corpus/nan.wav": "1 samples are NaN or infinite",
        "corpus/loud.wav": "expected -1 to 1; divide them, e.g. by 32768",
        "corpus/text.wav": "Format not recognised",
        "corpus/cut.wav": "corpus/cut.wav is truncated: its header promises",
        "false |": "the command ended with status 1: it says nothing",
        "echo oops >&2; cat none | cat |": "the command ended with status 1: cat: none: No such file",
        "x.ark:4": "no audio there",
        "none.ark:4": "No such file or directory: 'none.ark'",
    }
    write([*faults, *["corpus/good.wav"] * 200])
    done = run(shell, "--allow-pipes", "true")
    assert done.returncode == 0 and f"wrote 200 of {200 + len(faults)} utterances" in done.stdout
    log = (shell.root / "data/new/log/format_wav_scp.log").read_text().splitlines()
    assert len(log) == len(faults)
    for number, (source, reason) in enumerate(faults.items()):
        (line,) = [line for line in log if line.startswith(f"utterance a-{number} of {source}: ")]
        assert reason in line
        assert f"format_wav_scp.sh: {line}\n" in done.stderr
    assert len(read(shell)) == 200


def test_stage_0_s_message_on_mixed_rates_and_channels_names_what_mends_them(shell, write):
    for number, (rate, channels) in enumerate(((RATE, 1), (RATE, 2), (44100, 1))):
        soundfile.write(shell.root / f"corpus/{number}.wav", noise(number, rate=rate, channels=channels), rate)
    write([f"corpus/{number}.wav" for number in range(3)])
    done = shell("utils/get_utt2dur.sh", "--nj", "1", "data/raw")
    assert done.returncode == 1 and "(1 channels, 1 rate)" in done.stderr
    assert "by utils/format_wav_scp.sh, in a recipe by --audio-format flac --sample-rate 16000\n" in done.stderr
    assert run(shell, "--audio-format", "flac", "--sample-rate", "16000").returncode == 0
    assert shell("utils/get_utt2dur.sh", "--nj", "1", "data/new").returncode == 0


def test_too_many_left_out_are_an_error(shell, write):
    write(["corpus/none.wav"] * 3)
    done = run(shell)
    assert done.returncode == 1 and "only 0 of 3 utterances of data/raw could be written" in done.stderr
    assert "utterance a-0 of corpus/none.wav: no such file" in done.stderr
    assert not (shell.root / "data/new/wav.scp").exists()


def test_one_bad_file_of_a_few_is_logged_and_what_is_written_stays(shell, write):
    soundfile.write(shell.root / "corpus/good.wav", noise(0), RATE)
    (shell.root / "corpus/speech.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(400))
    write(["corpus/good.wav", "corpus/speech.m4a"])
    done = run(shell)
    assert done.returncode == 1 and "only 1 of 2 utterances of data/raw could be written; mend" in done.stderr
    (line,) = (shell.root / "data/new/log/format_wav_scp.log").read_text().splitlines()
    assert line.startswith("utterance a-1 of corpus/speech.m4a: cannot be read as audio (Format not recognised.); ")
    assert line.endswith("make a WAV of it: ffmpeg -i RECORDING new.wav")
    written = next((shell.root / "data/new").rglob("*.flac"))
    before = written.stat().st_mtime_ns
    soundfile.write(shell.root / "corpus/speech.m4a", noise(1), RATE, format="WAV")
    assert run(shell).returncode == 0 and written.stat().st_mtime_ns == before and len(read(shell)) == 2


def test_a_second_call_writes_what_is_missing_or_old(shell, write):
    for number in range(3):
        soundfile.write(shell.root / f"corpus/{number}.wav", noise(number), RATE)
    write([f"corpus/{number}.wav" for number in range(3)])
    assert run(shell).returncode == 0
    paths = [shell.root / path for path in read_table(shell.root / "data/new/wav.scp").values()]
    os.utime(paths[0], (2e9, 2e9))
    paths[1].unlink()
    soundfile.write(shell.root / "corpus/2.wav", noise(7), RATE)
    assert run(shell).returncode == 0
    assert paths[0].stat().st_mtime == 2e9
    assert np.array_equal(read(shell)["a-1"], noise(1)) and np.array_equal(read(shell)["a-2"], noise(7))
    assert run(shell, "--fs", "8000").returncode == 0 and len(read(shell)["a-0"]) == 4000


@pytest.mark.parametrize(
    "source",
    ["corpus/x.wav", "wav.ark:4", "echo x >>ran; cat corpus/x.wav |", "echo x >>ran; cat <'corpus/x.wav' | cat |"],
)
def test_another_recording_under_the_same_name_is_read_whatever_its_time(shell, write, source):
    """As cp -p, rsync -a and archives leave it; one has the same length."""
    file = shell.root / ("wav.ark" if "ark" in source else "corpus/x.wav")
    write([source])
    for number, time, seconds in ((1, 2e9, 0.5), (2, 1e9, 0.5), (3, 1e9, 0.7)):
        wav = as_bytes(noise(number, seconds))
        file.write_bytes(b"a-0 " + wav if "ark" in source else wav)
        os.utime(file, (time, time))
        for _ in range(2):  # the second call has nothing to do
            assert run(shell, "--allow-pipes", "true").returncode == 0
            assert np.array_equal(read(shell)["a-0"], noise(number, seconds))
        assert "ran" not in source or len((shell.root / "ran").read_text().splitlines()) == number


def test_a_command_that_names_no_file_is_run_once(shell, write):
    soundfile.write(shell.root / "corpus/x.wav", noise(1), RATE)
    write(["echo x >>ran; ./tool |"])
    for content in ("#!/bin/sh\ncat corpus/x.wav\n", "#!/bin/sh\ncat 'corpus/x.wav'\n"):  # a tool that is built anew
        (shell.root / "tool").write_text(content)
        (shell.root / "tool").chmod(0o755)
        assert run(shell, "--allow-pipes", "true").returncode == 0
    assert np.array_equal(read(shell)["a-0"], noise(1)) and (shell.root / "ran").read_text() == "x\n"


def test_a_directory_may_be_formatted_in_place(shell, write):
    soundfile.write(shell.root / "corpus/x.wav", noise(1, 2.0), RATE)
    more = {"semantic.scp": "b-1 x.ark:5\nb-2 x.ark:9\n", "semantic.json": "{}", "reco2dur": "a-0 2\n"}
    write(["corpus/x.wav"], segments="b-1 a-0 0 1\nb-2 a-0 1 2\n", **more)
    assert run(shell, dest="data/raw").returncode == 0
    raw = shell.root / "data/raw"
    assert sorted(read(shell, "data/raw")) == ["b-1", "b-2"]
    assert not (raw / "semantic.scp").exists() and not (raw / "reco2dur").exists()
    assert (raw / ".backup/wav.scp").read_text() == "a-0 corpus/x.wav\n"
    assert {"segments", "semantic.scp", "reco2dur"} <= {path.name for path in (raw / ".backup").iterdir()}


@pytest.mark.parametrize("rate, channels", [(24000, 1), (RATE, 2)])
def test_what_stages_refuse_is_mended_as_their_message_says(shell, write, rate, channels, monkeypatch):
    soundfile.write(shell.root / "corpus/x.wav", noise(1, rate=rate, channels=channels), rate)
    write(["corpus/x.wav"])
    monkeypatch.chdir(shell.root)
    with pytest.raises(ValueError, match=f"by {FORMAT}, in a recipe by --audio-format flac"):
        Utterances("data/raw", RATE).read("a-0")
    assert run(shell).returncode == 0
    assert len(Utterances("data/new", RATE).read("a-0")) == RATE // 2


def test_a_directory_without_utterances_is_not_made(shell, write):
    write([])
    assert "only 0 of 0 utterances" in run(shell).stderr and not (shell.root / "data/new").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--audio-format", "mp3"], "--audio-format takes flac or wav, got 'mp3'"),
        (["--allow-pipes", "yes"], "--allow-pipes takes true or false, got 'yes'"),
        (["--nj", "0"], "--nj takes a number of at least 1, got '0'"),
        (["--fs", "16k"], "--fs takes a number of at least 1, got '16k'"),
        (["--channel", "0"], "--channel takes a number of at least 1, got '0'"),
        (["--rate", "1"], "unknown option --rate"),
    ],
)
def test_options_are_checked(shell, write, options, message):
    write(["corpus/x.wav"])
    done = run(shell, *options)
    assert done.returncode == 1 and message in done.stderr and not (shell.root / "data/new").exists()
