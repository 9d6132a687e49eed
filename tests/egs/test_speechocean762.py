"""Stage 0 of egs/speechocean762: the corpus as published, and data directories of one's own."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundstorm.data.data_dir import read_table

RECIPE = "egs/speechocean762"
TRAIN_SPEAKERS = tuple(f"{number:04d}" for number in range(1, 22))
TEST_SPEAKERS = ("0103", "0104")


def write_wav(path, seconds=0.3, sample_rate=16000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shape = (int(seconds * sample_rate), channels) if channels > 1 else int(seconds * sample_rate)
    soundfile.write(path, rng.uniform(-0.1, 0.1, shape), sample_rate)


def write_published_corpus(root):
    """The layout of resource 101 of OpenSLR: numbers as names, capitals, tabs, names without the speaker."""
    for part, speakers in (("train", TRAIN_SPEAKERS), ("test", TEST_SPEAKERS)):
        lines = {name: [] for name in ("wav.scp", "text", "utt2spk", "spk2utt", "spk2gender", "spk2age")}
        for speaker in speakers:
            # As in the corpus: an utterance is numbered otherwise than its speaker.
            utterances = [f"{int(speaker) * 1000 + number:09d}" for number in (1, 2)]
            for number, utterance in enumerate(utterances):
                path = f"WAVE/SPEAKER{speaker}/{utterance}.WAV"
                write_wav(root / path, 0.3 + 0.2 * number)
                lines["wav.scp"].append(f"{utterance}\t{path}")
                lines["text"].append(f"{utterance}\tWE CALL IT BEAR")
                lines["utt2spk"].append(f"{utterance}\t{speaker}")
            lines["spk2utt"].append(f"{speaker}\t{' '.join(utterances)}")
            lines["spk2gender"].append(f"{speaker}\t{'mf'[int(speaker) % 2]}")
            lines["spk2age"].append(f"{speaker}\t20")
        (root / part).mkdir()
        for name, content in lines.items():
            (root / part / name).write_text("".join(f"{line}\n" for line in content))
    return root


def write_kaldi_dir(directory, speakers, *, audio="wav", text=True, prefix="", sample_rate=16000, channels=1):
    """A data directory whose wav.scp has `prefix` before each path; recordings lie in `audio`."""
    directory.mkdir(parents=True)
    lines = {"wav.scp": [], "utt2spk": [], "text": []}
    for speaker in speakers:
        for number in (1, 2):
            name = f"{speaker}-{number}"
            write_wav(audio / f"{name}.wav", sample_rate=sample_rate, channels=channels)
            lines["wav.scp"].append(f"{name} {prefix}{name}.wav")
            lines["utt2spk"].append(f"{name} {speaker}")
            lines["text"].append(f"{name} Hello, {speaker}.")
    for name, content in lines.items():
        if name != "text" or text:
            (directory / name).write_text("".join(f"{line}\n" for line in content))
    return directory


def prepare(checkout, *options):
    return checkout.run(["local/data.sh", *(str(option) for option in options)], cwd=RECIPE)


def table(checkout, set_name, name):
    return read_table(checkout.root / RECIPE / "data" / set_name / name)


def speakers(checkout, set_name):
    return set(table(checkout, set_name, "spk2utt"))


def is_there(checkout, set_name, name="utt2spk"):
    return (checkout.root / RECIPE / "data" / set_name / name).exists()


@pytest.fixture
def voices(tmp_path):
    """A data directory of 20 speakers with transcripts."""
    return write_kaldi_dir(tmp_path / "voices", [f"v{number:02d}" for number in range(20)], audio=tmp_path / "voices")


def test_the_published_corpus_keeps_its_test_speakers_and_gives_some_to_dev(checkout, tmp_path):
    done = prepare(checkout, "--corpus", write_published_corpus(tmp_path / "speechocean762"))
    assert done.returncode == 0, done.stderr
    assert speakers(checkout, "test") == {f"so{speaker}" for speaker in TEST_SPEAKERS}
    assert len(speakers(checkout, "dev")) == 1
    assert speakers(checkout, "train") | speakers(checkout, "dev") == {f"so{speaker}" for speaker in TRAIN_SPEAKERS}
    assert not speakers(checkout, "train") & speakers(checkout, "dev")
    assert table(checkout, "train_text", "text") == table(checkout, "train", "text")


def test_the_published_corpus_gets_names_that_sort_and_small_letters(checkout, tmp_path):
    prepare(checkout, "--corpus", write_published_corpus(tmp_path / "speechocean762"))
    assert table(checkout, "test", "text") == {
        f"so{speaker}-000{speaker[1:]}00{number}": "we call it bear" for speaker in TEST_SPEAKERS for number in (1, 2)
    }
    assert table(checkout, "test", "spk2gender") == {"so0103": "f", "so0104": "m"}
    for set_name in ("train", "train_text", "dev", "dev_text", "test"):
        done = checkout.run(["utils/validate_data_dir.sh", f"{RECIPE}/data/{set_name}"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_folder_that_the_archive_unpacks_to_is_found(checkout, tmp_path):
    write_published_corpus(tmp_path / "speechocean762")
    done = prepare(checkout, "--corpus", tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_missing_corpus_is_reported_with_where_it_is_published(checkout, tmp_path):
    done = prepare(checkout, "--corpus", tmp_path)
    assert done.returncode == 1
    assert "train/wav.scp is missing" in done.stderr
    assert "https://www.openslr.org/101/" in done.stderr
    assert "--local-data-opts" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_source_at_all_is_reported(checkout):
    done = prepare(checkout)
    assert done.returncode == 1
    assert "pass --corpus <dir>, --extra-data <dir>, or both" in done.stderr


def test_extra_data_are_taken_from_every_repetition(checkout, tmp_path):
    corpus = write_published_corpus(tmp_path / "speechocean762")
    # Paths relative to the directory, relative to the folder it is in, and absolute.
    own = write_kaldi_dir(tmp_path / "own", ["own"], audio=tmp_path / "own")
    above = write_kaldi_dir(
        tmp_path / "pack/kaldi", ["above"], audio=tmp_path / "pack/flac", prefix="flac/", text=False
    )
    absolute = write_kaldi_dir(tmp_path / "absolute", ["abs"], audio=tmp_path / "far", prefix=f"{tmp_path}/far/")
    done = prepare(checkout, "--corpus", corpus, "--extra-data", own, "--extra-data", above, "--extra-data", absolute)
    assert done.returncode == 0, done.stderr
    assert {"own", "above", "abs"} <= speakers(checkout, "train")
    assert {"own", "abs"} == {speaker for speaker in speakers(checkout, "train_text") if not speaker.startswith("so")}
    assert not is_there(checkout, "train", "text")
    assert table(checkout, "train_text", "text")["own-1"] == "Hello, own."


def test_speakers_are_held_out_alike_in_every_run_and_with_more_data(checkout, tmp_path, voices):
    prepare(checkout, "--extra-data", voices)
    first = {name: speakers(checkout, name) for name in ("train", "dev", "test")}
    assert [len(first[name]) for name in ("train", "dev", "test")] == [17, 1, 2]
    assert len(set.union(*first.values())) == 20
    more = write_kaldi_dir(tmp_path / "more", ["x1", "x2"], audio=tmp_path / "more", text=False)
    prepare(checkout, "--extra-data", voices, "--extra-data", more)
    assert speakers(checkout, "test") == first["test"]


def test_lists_name_speakers_or_utterances(checkout, tmp_path, voices):
    (tmp_path / "dev.list").write_text("v03-2\n")
    (tmp_path / "test.list").write_text("v05\nv06 and more words\n")
    done = prepare(
        checkout, "--extra-data", voices, "--dev-list", tmp_path / "dev.list", "--test-list", tmp_path / "test.list"
    )
    assert done.returncode == 0, done.stderr
    assert set(table(checkout, "dev", "utt2spk")) == {"v03-2"}
    assert speakers(checkout, "test") == {"v05", "v06"}
    assert "1 speakers of dev are heard in training too (v03" in done.stderr


def test_an_unknown_name_in_a_list_is_reported(checkout, tmp_path, voices):
    (tmp_path / "test.list").write_text("v05\nnobody\n")
    done = prepare(checkout, "--extra-data", voices, "--test-list", tmp_path / "test.list")
    assert done.returncode == 1
    assert "nobody is neither a speaker nor an utterance of the sources (1 of 2 names are unknown)" in done.stderr


def test_folders_of_data_directories_are_what_they_are_called(checkout, tmp_path):
    for name, speaker in (("train-a", "a"), ("train-b", "b"), ("dev-clean", "c"), ("test-clean", "d")):
        write_kaldi_dir(tmp_path / "all" / name, [speaker], audio=tmp_path / "all" / name)
    done = prepare(checkout, "--extra-data", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    assert [speakers(checkout, name) for name in ("train", "dev", "test")] == [{"a", "b"}, {"c"}, {"d"}]


def test_segments_are_kept_beside_whole_files(checkout, tmp_path, voices):
    talk = tmp_path / "talk"
    write_wav(talk / "long.wav", seconds=2.0)
    (talk / "wav.scp").write_text("tape long.wav\n")
    (talk / "segments").write_text("s-1 tape 0.25 1.0\ns-2 tape 1.0 1.5\n")
    (talk / "utt2spk").write_text("s-1 s\ns-2 s\n")
    done = prepare(checkout, "--extra-data", voices, "--extra-data", talk)
    assert done.returncode == 0, done.stderr
    segments = table(checkout, "train", "segments")
    assert segments["s-1"] == "tape 0.250 1.000"
    whole = next(name for name in segments if name.startswith("v"))
    assert segments[whole] == f"{whole} 0.000 0.300"
    assert table(checkout, "train", "utt2dur")["s-2"] == "0.500"
    done = checkout.run(["utils/validate_data_dir.sh", "--no-text", f"{RECIPE}/data/train"])
    assert done.returncode == 0, done.stdout + done.stderr


def test_other_rates_and_channels_are_converted_once(checkout, tmp_path):
    names = [f"v{number:02d}" for number in range(20)]
    source = write_kaldi_dir(tmp_path / "cd", names, audio=tmp_path / "cd", sample_rate=22050, channels=2)
    done = prepare(checkout, "--extra-data", source)
    assert done.returncode == 0, done.stderr
    assert "40 recordings converted to 16000 Hz, mono" in done.stderr
    path = next(iter(table(checkout, "test", "wav.scp").values()))
    info = soundfile.info(path)
    assert (info.samplerate, info.channels) == (16000, 1)
    assert info.duration == pytest.approx(0.3, abs=1e-3)
    times = {file: file.stat().st_mtime_ns for file in (checkout.root / RECIPE / "data/converted").iterdir()}
    prepare(checkout, "--extra-data", source)
    assert {file: file.stat().st_mtime_ns for file in times} == times


def test_short_test_utterances_can_be_left_out(checkout, tmp_path):
    corpus = write_published_corpus(tmp_path / "speechocean762")
    done = prepare(checkout, "--corpus", corpus, "--test-min-seconds", "0.4")
    assert done.returncode == 0, done.stderr
    assert set(table(checkout, "test", "utt2dur").values()) == {"0.500"}
    assert "2 test utterances are left out" in done.stderr
    assert "0.300" in table(checkout, "train", "utt2dur").values()


@pytest.mark.parametrize(
    "line, message",
    [
        ("v00-1 gone.wav", "v00-1: no such recording; looked for"),
        ("v00-1 flac -dc v00-1.flac |", "v00-1 is a command"),
        ("v00-1 wav.ark:12", "v00-1 is a place in an archive"),
    ],
)
def test_a_recording_that_cannot_be_read_is_named(checkout, voices, line, message):
    scp = voices / "wav.scp"
    scp.write_text(f"{line}\n" + "".join(scp.read_text().splitlines(keepends=True)[1:]))
    done = prepare(checkout, "--extra-data", voices)
    assert done.returncode == 1
    assert message in done.stderr


def test_the_remedy_for_commands_works(checkout, voices):
    scp = voices / "wav.scp"
    paths = {utterance: next(voices.parent.rglob(f"{utterance}.wav")) for utterance in read_table(scp)}
    scp.write_text("".join(f"{utterance} cat {path} |\n" for utterance, path in paths.items()))
    done = prepare(checkout, "--extra-data", voices)
    tool = done.stderr.partition("to files by ")[2].partition(" <new directory>")[0]
    made = checkout.run([*tool.split(), "data/voices"], cwd=RECIPE)
    assert made.returncode == 0, made.stderr
    done = prepare(checkout, "--extra-data", "data/voices")
    assert done.returncode == 0, done.stderr


def test_recordings_and_notes_in_a_set_stay(checkout, voices):
    """Also those that the sets are made of: the source lies where the training set goes."""
    train = checkout.root / RECIPE / "data/train"
    train.parent.mkdir()
    voices.rename(train)
    (train / "NOTES").write_text("mine")
    (train / "wav.scp").write_text("".join(f"{u} {u}.wav\n" for u in read_table(train / "wav.scp")))
    before = {path.name: path.read_bytes() for path in train.glob("*.wav")}
    old = {name: (train / name).read_text() for name in ("wav.scp", "utt2spk", "text")}
    done = prepare(checkout, "--extra-data", "data/train")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in train.glob("*.wav")} == before and len(before) == 40
    assert (train / "NOTES").read_text() == "mine"
    assert {name: (train / ".backup" / name).read_text() for name in old} == old
    for name in ("train", "dev", "test"):
        assert all(Path(path).is_file() for path in table(checkout, name, "wav.scp").values())


def test_an_utterance_of_two_sources_is_an_error(checkout, tmp_path, voices):
    again = write_kaldi_dir(tmp_path / "again", ["v01"], audio=tmp_path / "again")
    done = prepare(checkout, "--extra-data", voices, "--extra-data", again)
    assert done.returncode == 1
    assert f"utterance v01-1 is both in {voices} and in {again}" in done.stderr


@pytest.mark.integration
def test_stage_0_of_the_recipe_is_complete_after_one_run(checkout, tmp_path):
    corpus = write_published_corpus(tmp_path / "speechocean762")
    command = ["./run.sh", "--stage", "0", "--stop-stage", "0", "--local-data-opts", f"--corpus {corpus}"]
    done = checkout.run(command, cwd=RECIPE)
    assert done.returncode == 0, done.stderr
    done = checkout.run(command, cwd=RECIPE)
    assert "complete, nothing to do" in done.stdout
