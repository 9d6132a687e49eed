"""Stage 0 of egs/mini_librispeech: the published layout, unpacked, as archives and to be fetched."""

import hashlib
import re
import tarfile

import pytest

from soundstorm.data.data_dir import read_table

from .test_librilight import write_speech

RECIPE = "egs/mini_librispeech"
PARTS = ("train-clean-5", "dev-clean-2")


@pytest.fixture
def corpus(tmp_path):
    """A folder with both parts, unpacked."""
    root = tmp_path / "corpus"
    write_speech(root / "LibriSpeech", "train-clean-5", (1.0, 5.0, 31.0), ("7", "70"))
    write_speech(root / "LibriSpeech", "dev-clean-2", (3.9, 4.0, 10.0, 20.0, 30.1), ("61", "6", "84"))
    return root


@pytest.fixture
def mirror(tmp_path, corpus, checkout):
    """Archives of the parts, whose sums the recipe is told; the corpus itself is gone."""
    folder, script = tmp_path / "mirror", checkout.root / RECIPE / "local/data.sh"
    folder.mkdir()
    text = script.read_text()
    for part in PARTS:
        archive = folder / f"{part}.tar.gz"
        with tarfile.open(archive, "w:gz") as stream:
            stream.add(corpus / "LibriSpeech" / part, f"LibriSpeech/{part}")
        md5 = hashlib.md5(archive.read_bytes()).hexdigest()
        text, count = re.subn(rf"(md5\[{part}\]=)[0-9a-f]{{32}}\b", rf"\g<1>{md5}", text)
        assert count == 1
    script.write_text(text)
    corpus.rename(tmp_path / "away")
    return folder


def prepare(checkout, *options):
    return checkout.run(["local/data.sh", "--dev-speakers", "1", *map(str, options)], cwd=RECIPE)


def data(checkout, name):
    return checkout.root / RECIPE / "data" / name


@pytest.mark.parametrize("inside", ["", "LibriSpeech"])
def test_sets_are_valid_and_share_no_voice(checkout, corpus, inside):
    done = prepare(checkout, "--corpus", corpus / inside)
    assert done.returncode == 0, done.stderr
    speakers = {name: set(read_table(data(checkout, name) / "spk2utt")) for name in ("train", "dev", "test")}
    assert speakers["train"] == {"7", "70"} and len(speakers["dev"]) == 1
    assert speakers["dev"] | speakers["test"] == {"61", "6", "84"} and not speakers["dev"] & speakers["test"]
    for name in speakers:
        done = checkout.run(["utils/validate_data_dir.sh", f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr
    assert set(read_table(data(checkout, "train/text")).values()) == {"he said so"}
    assert len(read_table(data(checkout, "train/text"))) == 6


def test_the_test_set_has_the_lengths_of_the_papers_table(checkout, corpus):
    done = prepare(checkout, "--corpus", corpus)
    assert set(read_table(data(checkout, "test/utt2dur")).values()) == {"4.000", "10.000", "20.000"}
    assert "4 to 10 s 2, 10 to 20 s 2, 20 to 30 s 2; 4 shorter or longer ones are left out" in done.stderr


def test_what_is_missing_is_fetched_only_when_that_is_asked_for(checkout, mirror):
    done = prepare(checkout, "--url", f"file://{mirror}")
    assert done.returncode == 1 and "downloads/LibriSpeech has no train-clean-5" in done.stderr
    assert "--local-data-opts \"--corpus <folder>\"" in done.stderr and "--download true" in done.stderr
    done = prepare(checkout, "--download", "true", "--url", f"file://{mirror}")
    assert done.returncode == 0, done.stderr
    assert len(read_table(data(checkout, "train/wav.scp"))) == 6
    done = prepare(checkout, "--download", "true", "--url", "file:///nowhere")  # nothing is missing
    assert done.returncode == 0, done.stderr


def test_an_interrupted_download_goes_on_and_a_damaged_one_is_refused(checkout, mirror):
    archive, downloads = mirror / "train-clean-5.tar.gz", checkout.root / RECIPE / "downloads"
    whole = archive.read_bytes()
    downloads.mkdir()
    part = downloads / f"{archive.name}.part"
    part.write_bytes(bytes(1000) + whole[1000 : len(whole) // 2])
    done = prepare(checkout, "--download", "true", "--url", f"file://{mirror}")
    assert done.returncode == 1 and "train-clean-5.tar.gz has another MD5 sum" in done.stderr
    assert not part.exists()
    part.write_bytes(whole[: len(whole) // 2])
    done = prepare(checkout, "--download", "true", "--url", f"file://{mirror}")
    assert done.returncode == 0, done.stderr
    assert (downloads / archive.name).read_bytes() == whole
    assert not list(downloads.glob("*.part")) + list(downloads.glob("unpacking*"))


def test_a_mirror_that_is_not_there_is_named(checkout, mirror):
    done = prepare(checkout, "--download", "true", "--url", "file:///nowhere")
    assert done.returncode == 1 and "file:///nowhere/train-clean-5.tar.gz cannot be fetched" in done.stderr


def test_archives_beside_each_other_are_unpacked_and_others_refused(checkout, mirror):
    (mirror / "dev-clean-2.tar.gz").rename(mirror / "kept")
    (mirror / "dev-clean-2.tar.gz").write_bytes(b"half")
    done = prepare(checkout, "--corpus", mirror)
    assert done.returncode == 1
    assert "dev-clean-2.tar.gz has another MD5 sum than" in done.stderr and "remove it" in done.stderr
    (mirror / "kept").rename(mirror / "dev-clean-2.tar.gz")
    done = prepare(checkout, "--corpus", mirror)
    assert done.returncode == 0, done.stderr


def test_too_many_dev_speakers_are_refused(checkout, corpus):
    done = prepare(checkout, "--corpus", corpus, "--dev-speakers", "3")
    assert done.returncode == 1
    assert "--dev-speakers is 3, expected at least 1 and fewer than the 3 of dev-clean-2" in done.stderr


@pytest.mark.integration
def test_stage_0_of_the_recipe_is_complete_after_one_run(checkout, corpus):
    options = f"--corpus {corpus} --dev-speakers 1 "
    command = ["./run.sh", "--stage", "0", "--stop-stage", "0", "--local-data-opts", options]
    done = checkout.run(command, cwd=RECIPE)
    assert done.returncode == 0, done.stderr
    done = checkout.run(command, cwd=RECIPE)
    assert "complete, nothing to do" in done.stdout
