"""Stage 0 of egs/librilight: the published layouts of LibriLight and LibriSpeech."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundstorm.data.data_dir import read_segments, read_table

from .published import write_librilight_file

RECIPE = "egs/librilight"
LOCAL = Path(__file__).resolve().parent.parent.parent / RECIPE / "local"
SPANS = [[0.5, 9.0], [9.4, 21.0], [21.5, 40.0], [44.0, 44.5], [50.0, 119.0]]


@pytest.fixture(scope="module")
def librilight():
    """The module of the recipe."""
    sys.path.insert(0, str(LOCAL))
    try:
        import librilight
    finally:
        sys.path.remove(str(LOCAL))
    return librilight


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.1, 0.1, int(16000 * seconds))


def write_light(root, files):
    """Files as <subset>/<speaker>/<book>/<file>, each of two minutes or of what is given."""
    for path, (seconds, spans) in files.items():
        write_librilight_file(root / f"{path}.flac", noise(seconds), spans, path.split("/")[1])
    return root


def write_speech(root, part, seconds, speakers=("61", "6")):
    """One chapter of each speaker; an utterance for every number of seconds."""
    for speaker in speakers:
        chapter = root / part / speaker / "70968"
        chapter.mkdir(parents=True)
        names = [f"{speaker}-70968-{number:04d}" for number in range(len(seconds))]
        for name, length in zip(names, seconds):
            soundfile.write(chapter / f"{name}.flac", noise(length), 16000)
        (chapter / f"{speaker}-70968.trans.txt").write_text("".join(f"{name} HE SAID SO\n" for name in names))
    return root


@pytest.fixture
def corpora(tmp_path):
    """LibriLight with four speakers, LibriSpeech with a test part."""
    book = "sea_0812_librivox_64kb_mp3"
    short = (12.0, [[1.0, 5.0], [5.5, 11.0]])
    write_light(tmp_path / "light", {
        f"small/100/{book}/01_sea_64kb": (120.0, SPANS),
        f"small/100/{book}/02_sea_64kb": short,
        f"medium/20/{book}/01_sea_64kb": short,
        f"medium/3/{book}/01_sea_64kb": short,
        f"medium/3/{book}/02_sea_64kb": short,
        "medium/4444/it's_odd/preface": short,
    })  # fmt: skip
    write_speech(tmp_path / "speech/LibriSpeech", "test-clean", (3.9, 4.0, 9.9, 10.0, 20.0, 30.0, 30.1))
    return tmp_path


def prepare(checkout, corpora, *options):
    command = ["local/data.sh", "--librilight", corpora / "light", "--librispeech", corpora / "speech"]
    return checkout.run([str(word) for word in (*command, "--dev-speakers", "1", *options)], cwd=RECIPE)


def data(checkout, name):
    return checkout.root / RECIPE / "data" / name


def all_segments(checkout):
    return {**read_segments(data(checkout, "train/segments")), **read_segments(data(checkout, "dev/segments"))}


# ---------------------------------------------------------------------------------------------------------- cutting


def test_spans_are_joined_up_to_the_limit_and_not_across_long_silence(librilight):
    assert librilight.cut(SPANS, librilight.Cuts()) == [
        (0.5, 21.0), (21.5, 40.0), (50.0, 73.0), (73.0, 96.0), (96.0, 119.0),
    ]  # fmt: skip


TIMES = st.lists(st.integers(1, 40_000), min_size=2, max_size=40)  # steps in ms


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # however busy the machine
@given(steps=TIMES, longest=st.integers(2_000, 30_000), gap=st.integers(0, 3_000))
def test_pieces_hold_all_speech_once_and_cut_no_span_that_fits(librilight, steps, longest, gap):
    times = (np.cumsum(steps) / 1000).round(3).tolist()
    spans = list(zip(times[::2], times[1::2]))
    pieces = librilight.cut(spans, librilight.Cuts(longest / 1000, 0.0, gap / 1000))
    assert all(0 < end - start <= longest / 1000 + 1e-6 for start, end in pieces)
    assert all(before[1] <= after[0] for before, after in zip(pieces, pieces[1:]))
    for start, end in spans:
        touching = [piece for piece in pieces if piece[0] < end and start < piece[1]]
        held = sum(min(end, piece[1]) - max(start, piece[0]) for piece in touching)
        assert held == pytest.approx(end - start, abs=1e-6)
        assert len(touching) == 1 or end - start > longest / 1000 - 1e-6
    borders = {time for span in spans for time in span}
    for start, end in pieces:
        inside = [s for s in spans if start <= s[0] and s[1] <= end]
        assert all(b[0] - a[1] <= gap / 1000 + 1e-6 for a, b in zip(inside, inside[1:]))
        assert {start, end} <= borders or not inside or end - start <= longest / 1000


def test_short_pieces_are_left_out(librilight):
    assert librilight.cut([(0.0, 0.9), (5.0, 6.0)], librilight.Cuts()) == [(5.0, 6.0)]


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "no .voice_activity."),
        ('{"speaker": "1"}', "no .voice_activity."),
        ('{"voice_activity": [[1]]}', "no .voice_activity."),
        ('{"voice_activity": [[2, 1]]}', r"has \[2, 1\], expected 0 <= start < end"),
        ('{"voice_activity": [[NaN, 1]]}', "expected 0 <= start < end"),
        (None, "missing"),
    ],
)
def test_voice_activity_that_cannot_be_is_refused(librilight, tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        librilight.read_voice_activity(path)


def test_overlapping_voice_activity_is_joined(librilight, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"voice_activity": [[5, 7], [1, 3], [2, 4], [4, 4.5]]}))
    assert librilight.read_voice_activity(tmp_path / "a.json") == [(1, 4.5), (5, 7)]


# ------------------------------------------------------------------------------------------------------- the sets


def test_sets_are_valid_and_no_audio_is_copied(checkout, corpora):
    done = prepare(checkout, corpora)
    assert done.returncode == 0, done.stderr
    for name in ("train", "dev", "test_clean"):
        done = checkout.run(["utils/validate_data_dir.sh", "--no-text", f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr
        for path in read_table(data(checkout, name) / "wav.scp").values():
            assert Path(path).is_absolute() and Path(path).is_relative_to(corpora)
    assert {path.name for path in data(checkout, "").iterdir()} == {"train", "dev", "test_clean"}


def test_every_speaker_is_in_train_or_dev(checkout, corpora):
    prepare(checkout, corpora)
    train, dev = (set(read_table(data(checkout, name) / "spk2utt")) for name in ("train", "dev"))
    assert len(dev) == 1 and not train & dev
    assert train | dev == {"100", "20", "3", "4444"}


def test_pieces_are_named_by_where_they_begin(checkout, corpora):
    prepare(checkout, corpora)
    segments = all_segments(checkout)
    assert segments["100-sea_0812-01_sea-0000050"] == ("100-sea_0812-01_sea", 0.5, 21.0)
    assert segments["100-sea_0812-02_sea-0000100"] == ("100-sea_0812-02_sea", 1.0, 11.0)
    assert sum(name.startswith("4444-it_s_odd_") for name in segments) == 1  # letters that no id has


def test_the_test_set_has_the_paper_s_lengths_and_small_letters(checkout, corpora):
    done = prepare(checkout, corpora)
    durations = read_table(data(checkout, "test_clean/utt2dur"))
    assert sorted(set(durations.values()), key=float) == ["4.000", "9.900", "10.000", "20.000", "30.000"]
    assert "4 to 10 s 4, 10 to 20 s 2, 20 to 30 s 4; 4 shorter or longer ones are left out" in done.stderr
    assert set(read_table(data(checkout, "test_clean/text")).values()) == {"he said so"}


def test_what_is_in_several_subsets_counts_once_as_the_first_has_it(checkout, corpora):
    path = "100/sea_0812_librivox_64kb_mp3/02_sea_64kb"
    write_light(corpora / "light", {f"large/{path}": (12.0, [[0.0, 3.0]]), f"medium/{path}": (12.0, [[0.0, 4.0]])})
    done = prepare(checkout, corpora)
    assert "2 recordings are in several subsets and count once" in done.stderr
    (segment,) = [segment for name, segment in all_segments(checkout).items() if "100-sea_0812-02" in name]
    assert segment[1:] == (1.0, 11.0)


def test_where_no_speech_is_left_the_options_of_the_message_help(checkout, corpora):
    done = prepare(checkout, corpora, "--min-seconds", "29")
    assert done.returncode == 1
    assert "no speech is left for training; see --subsets and --min-seconds" in done.stderr
    assert prepare(checkout, corpora, "--min-seconds", "2").returncode == 0
    (dev,) = read_table(data(checkout, "dev/spk2utt"))
    for path in (corpora / "light").glob(f"*/{dev}/*/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"voice_activity": []}))
    done = prepare(checkout, corpora)
    assert done.returncode == 1 and "the dev speakers have no speech; give more --dev-speakers" in done.stderr
    done = prepare(checkout, corpora, "--dev-speakers", "2")
    assert done.returncode == 0, done.stderr


def test_subsets_can_be_chosen(checkout, corpora):
    prepare(checkout, corpora, "--subsets", "medium")
    assert {name.split("-")[0] for name in all_segments(checkout)} == {"20", "3", "4444"}


def test_speakers_of_the_test_set_are_not_trained_on(checkout, corpora):
    write_light(corpora / "light", {"small/61/sea/a": (12.0, [[0.0, 3.0]])})
    done = prepare(checkout, corpora)
    assert "1 speakers are in LibriSpeech's test or dev set and left out (61, ...)" in done.stderr
    assert not any(name.startswith("61-") for name in all_segments(checkout))


def test_transcribed_sets_are_made_on_request(checkout, corpora):
    for part, speakers in (("train-clean-100", ("7", "8")), ("train-clean-360", ("7000",)), ("dev-clean", ("9",))):
        write_speech(corpora / "speech/LibriSpeech", part, (2.0, 3.0), speakers)
    done = prepare(checkout, corpora, "--text-parts", "train-clean-100,train-clean-360")
    assert done.returncode == 0, done.stderr
    assert set(read_table(data(checkout, "train_text/spk2utt"))) == {"7", "8", "7000"}
    assert set(read_table(data(checkout, "dev_text/spk2utt"))) == {"9"}
    for name in ("train_text", "dev_text"):
        done = checkout.run(["utils/validate_data_dir.sh", f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_corpus_is_reported_with_where_it_is_published(checkout, corpora):
    done = prepare(checkout, corpora, "--librilight", corpora)
    assert done.returncode == 1
    assert "no folder small in it" in done.stderr and "small.tar, medium.tar and large.tar" in done.stderr
    done = prepare(checkout, corpora, "--test-part", "test-other")
    assert done.returncode == 1
    assert "test-other: no such folder" in done.stderr and "https://www.openslr.org/12/" in done.stderr
    assert "Traceback" not in done.stderr


def test_few_damaged_recordings_are_left_out_and_many_are_an_error(checkout, corpora):
    book = corpora / "light/medium/3/sea_0812_librivox_64kb_mp3"
    for number in range(10, 40):
        write_librilight_file(book / f"{number}.flac", noise(2.0), [[0.2, 1.8]], "3")
    (book / "10.json").unlink()
    done = prepare(checkout, corpora)
    assert done.returncode == 0, done.stderr
    assert "1 of 36 recordings are left out" in done.stderr and "10.json: missing" in done.stderr
    (book / "11.flac").write_bytes(b"no audio")
    soundfile.write(book / "12.flac", noise(1.0), 8000)
    write_librilight_file(book / "13.flac", noise(2.0), [[0.2, 180.0]], "3")
    before = (data(checkout, "train") / "segments").read_text()
    done = prepare(checkout, corpora)
    assert done.returncode == 1
    assert "4 of 36 recordings cannot be used, more than 5%" in done.stderr
    assert (data(checkout, "train") / "segments").read_text() == before


def test_a_transcript_without_recording_is_reported(checkout, corpora):
    next((corpora / "speech").rglob("61-*-0002.flac")).unlink()
    done = prepare(checkout, corpora)
    assert done.returncode == 1
    assert "61-70968-0002.flac: missing, but it has a transcript" in done.stderr


def test_too_many_dev_speakers_are_refused(checkout, corpora):
    done = prepare(checkout, corpora, "--dev-speakers", "4")
    assert done.returncode == 1
    assert "--dev-speakers is 4, expected at least 1 and fewer than the 4 there are" in done.stderr


@pytest.mark.integration
def test_stage_0_of_the_recipe_is_complete_after_one_run(checkout, corpora):
    options = f"--librilight {corpora / 'light'} --librispeech {corpora / 'speech'} --dev-speakers 1"
    command = ["./run.sh", "--stage", "0", "--stop-stage", "0", "--local-data-opts", options]
    done = checkout.run(command, cwd=RECIPE)
    assert done.returncode == 0, done.stderr
    done = checkout.run(command, cwd=RECIPE)
    assert "complete, nothing to do" in done.stdout


def test_without_text_among_the_systems_stage_5_is_left_out(checkout):
    done = checkout.run(["./run.sh", "--stage", "5", "--stop-stage", "5"], cwd=RECIPE)
    assert done.returncode == 0, done.stderr
    assert "left out: --systems has no text" in done.stdout
    command = ["./run.sh", "--stage", "5", "--stop-stage", "5", "--systems", "codec soundstorm_text"]
    done = checkout.run(command, cwd=RECIPE)
    assert done.returncode == 1
    assert "data/train/semantic.scp is missing" in done.stderr
