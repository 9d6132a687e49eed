"""A recipe takes Kaldi's and ESPnet's data directories as they are: pipes and archives, --audio-format."""

import kaldiio
import numpy as np
import pytest
import soundfile

from soundstorm.data.data_dir import read_table

from .test_environment import DATA, ONE_SET, SETS

RATE = 24000
STAGE_0 = "./run.sh --stage 0 --stop-stage 0 --nj 2 --local-data-opts".split()


def noise(number):
    return np.random.default_rng(number).integers(-8000, 8000, RATE // 2, dtype=np.int16)


@pytest.fixture(params=["pipe", pytest.param("ark", marks=pytest.mark.integration)])
def corpus(request, checkout, tmp_path):
    """Data directories with commands or places in an archive, and segments; and a recipe that copies them."""
    checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
    (checkout.root / "egs/foo/local/data.sh").write_text(DATA)
    root = tmp_path / "corpus"
    for number, name in enumerate(SETS):
        (root / name).mkdir(parents=True)
        if request.param == "pipe":
            soundfile.write(tmp_path / f"{name}.flac", noise(number), RATE)
            (root / name / "wav.scp").write_text(f"r cat {tmp_path}/{name}.flac |\n")
        else:
            scp = str(root / name / "wav.scp")
            kaldiio.save_ark(f"{tmp_path}/{name}.ark", {"r": (RATE, noise(number))}, scp=scp)
        (root / name / "segments").write_text("a-1 r 0 0.2\na-2 r 0.2 0.5\n")
        (root / name / "utt2spk").write_text("a-1 a\na-2 a\n")
        (root / name / "spk2utt").write_text("a a-1 a-2\n")
        (root / name / "text").write_text("a-1 one\na-2 two\n")
    return f"--corpus {root}"


@pytest.mark.integration
def test_without_the_option_the_remedy_is_named_and_works(checkout, corpus):
    done = checkout.run([*STAGE_0, corpus], cwd="egs/foo")
    assert done.returncode == 1
    remedy = done.stderr.splitlines()[-1].partition(", in a recipe by ")[2].split()
    assert remedy[:2] == ["--audio-format", "flac"]
    done = checkout.run([*STAGE_0, corpus, *remedy], cwd="egs/foo")
    assert done.returncode == 0, done.stderr
    recipe = checkout.root / "egs/foo"
    for name in SETS:
        paths = read_table(recipe / f"data/{name}/wav.scp")
        assert all(path.startswith("dump/audio_flac_16000/") for path in paths.values())
        assert [soundfile.info(recipe / path).samplerate for path in paths.values()] == [16000, 16000]
        assert read_table(recipe / f"data/{name}/utt2dur") == {"a-1": "0.2", "a-2": "0.3"}
    again = checkout.run([*STAGE_0, corpus, *remedy], cwd="egs/foo")
    assert "Stage 0: complete, nothing to do" in again.stdout


def test_the_rate_is_chosen_and_another_one_is_made_anew(checkout, corpus):
    options = [corpus, "--audio-format", "wav", "--allow-pipes", "true", "--sample-rate"]
    for rate in (24000, 8000):
        done = checkout.run([*STAGE_0, *options, str(rate), *ONE_SET], cwd="egs/foo")
        assert done.returncode == 0 and "finished" in done.stdout, done.stderr
        path = checkout.root / "egs/foo" / read_table(checkout.root / "egs/foo/data/train/wav.scp")["a-1"]
        wav, found = soundfile.read(path, dtype="int16")
        assert (found, len(wav)) == (rate, rate // 5)
        assert rate != RATE or np.array_equal(wav, noise(0)[: len(wav)])
