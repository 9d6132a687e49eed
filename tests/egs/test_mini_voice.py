"""The sets of LJ Speech that egs/mini/run_voice.sh learns from; training and speaking: test_readers_integration.py."""

import numpy as np
import soundfile

CLIPS = [f"LJ00{1 + number // 4}-{number % 4:04d}" for number in range(8)]


def prepare(checkout, corpus, *options):
    command = ["local/data.sh", "--datadir", "data_voice", "--lj-speech", str(corpus), "--dev", "1", "--test", "2"]
    done = checkout.run([*command, *options], cwd="egs/mini")
    return done.returncode, done.stderr


def write_corpus(root):
    """As published, of 8 clips, one of which is not there."""
    (root / "wavs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, name in enumerate(CLIPS):
        if number != 2:
            soundfile.write(root / f"wavs/{name}.wav", 0.1 * rng.standard_normal(4000 + 100 * number), 16000)
    lines = [f"{name}|No. {number}|Number  {number}, in \"words\"\n" for number, name in enumerate(CLIPS)]
    (root / "metadata.csv").write_text("".join(reversed(lines)))
    return root


def test_the_last_clips_are_for_test_and_those_before_them_for_dev(checkout, tmp_path):
    corpus = write_corpus(tmp_path / "LJ Speech")
    status, told = prepare(checkout, corpus)
    assert status == 0, told
    sets = checkout.root / "egs/mini/data_voice"
    there = [f"LJ-{name}" for number, name in enumerate(CLIPS) if number != 2]
    parts = {name: [line.split()[0] for line in (sets / name / "text").open()] for name in ("train", "dev", "test")}
    assert parts == {"train": there[:4], "dev": there[4:5], "test": there[5:]}
    assert (sets / "test/text").read_text().splitlines()[0] == 'LJ-LJ002-0002 Number 6, in "words"'
    assert (sets / "test/wav.scp").read_text().splitlines()[0] == f"LJ-LJ002-0002 {corpus}/wavs/LJ002-0002.wav"
    assert (sets / "test/utt2dur").read_text().splitlines()[0] == "LJ-LJ002-0002 0.287"
    assert checkout.run(["utils/validate_data_dir.sh", "data_voice/train"], cwd="egs/mini").returncode == 0


def test_what_is_wrong_with_a_corpus_is_said(checkout, tmp_path):
    status, told = prepare(checkout, tmp_path)
    assert status == 1 and f"{tmp_path}/metadata.csv is missing; pass the folder of LJ Speech" in told
    corpus = write_corpus(tmp_path / "corpus")
    status, told = prepare(checkout, corpus, "--test", "7")
    assert status == 1 and "has 7 of the 8 clips of metadata.csv, expected more than the 1 of dev and 7 of test" in told
    with open(corpus / "metadata.csv", "a") as metadata:
        metadata.write("LJ009-0001|two columns\n")
    status, told = prepare(checkout, corpus)
    assert status == 1 and "metadata.csv, line 9: expected name|text|normalised text, got 'LJ009-0001|two" in told
