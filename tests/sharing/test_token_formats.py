"""Tokens in other toolkits' formats, read by these toolkits, and back as they were; speech as a list."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundstorm.bin import export_tokens, export_wavs, import_tokens
from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.data_dir import DataDir, read_table, write_table
from soundstorm.sharing.token_formats import FORMATS

INFOS = {
    "semantic": TokenizerInfo("semantic", "random", "0" * 64, 50.0, 1, 512, 16000),
    "acoustic": TokenizerInfo("acoustic", "random", "1" * 64, 75.0, 3, 1024, 16000),
}
SECONDS = {"a-1": 1.2, "a-2.x": 0.8, "b-1": 1.0}  # a dot may be in a name
TEXTS = {"a-1": "red one", "a-2.x": "blue \u00fc | two", "b-1": "one"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data directory with recordings and tokens of all three utterances, and acoustic ones of a fourth."""
    monkeypatch.chdir(tmp_path)
    rng, data = np.random.default_rng(0), Path("data")
    data.mkdir()
    wavs = {name: f"{name}.wav" for name in SECONDS}
    for name, path in wavs.items():
        soundfile.write(path, rng.normal(size=round(SECONDS[name] * 16000)) * 0.1, 16000)
    tables = {"wav.scp": wavs, "utt2spk": {n: n[0] for n in wavs}, "text": TEXTS, "utt2dur": SECONDS}
    for name, table in tables.items():
        write_table(data / name, table)
    tokens = {"semantic": {}, "acoustic": {"c-1": np.ones((9, 3), int)}}
    for name, seconds in SECONDS.items():
        tokens["semantic"][name] = rng.integers(0, 512, round(50 * seconds))
        tokens["acoustic"][name] = rng.integers(0, 1024, (round(75 * seconds), 3))
    for kind, items in tokens.items():
        write_tokens(data / kind, sorted(items.items()), INFOS[kind])
    return tokens


def export(form, output="exported"):
    export_tokens.main(["--format", form, "--data-dir", "data", "--output", output])


def bring_back(form, source="exported"):
    import_tokens.main(["--format", form, "--input", source, "--output", "imported"])


@pytest.mark.parametrize("form", FORMATS)
def test_what_goes_out_comes_back_from_another_place(data, form):
    if form == "lhotse":
        pytest.importorskip("lhotse", reason="needs lhotse")
    export(form)
    shutil.copytree("exported", "elsewhere")
    shutil.rmtree("exported")
    bring_back(form, "elsewhere")
    for kind in INFOS:
        archive = TokenArchive(f"imported/{kind}.scp")
        assert archive.info == INFOS[kind] and archive.ids == sorted(SECONDS)
        for name in SECONDS:
            np.testing.assert_array_equal(archive[name], data[kind][name])
    found = DataDir("imported")
    assert found.table("text") == TEXTS and found.table("utt2spk") == read_table("data/utt2spk")
    if form != "espnet":
        assert found.durations() == SECONDS
    if form == "lhotse":
        assert {Path(path).name for path in found.table("wav.scp").values()} == {
            f"{name}.wav" for name in SECONDS
        }


def test_tokens_without_recordings_go_out_in_another_format(data):
    pytest.importorskip("lhotse", reason="needs lhotse")
    Path("data/wav.scp").unlink()
    with pytest.raises(ValueError, match="a-1: no recording in wav.scp, .* choose another --format"):
        export("lhotse")
    export("espnet")
    assert Path("exported/data.json").exists()


def test_lhotse_reads_cuts_with_their_tokens(data):
    lhotse = pytest.importorskip("lhotse", reason="needs lhotse")
    write_table("data/segments", {"a-1": "a-1 0.2 1.2", "a-2.x": "a-2.x 0 0.8", "b-1": "b-1 0 1"})
    Path("data/utt2dur").unlink()
    export("lhotse")
    cuts = lhotse.CutSet.from_file("exported/cuts.jsonl.gz")
    assert [cut.id for cut in cuts] == sorted(SECONDS)
    for cut in cuts:
        np.testing.assert_array_equal(cut.semantic_tokens.load(), data["semantic"][cut.id])
        np.testing.assert_array_equal(cut.acoustic_tokens.load(), data["acoustic"][cut.id])
        (said,) = cut.supervisions
        assert (said.text, said.speaker) == (TEXTS[cut.id], cut.id[0])
    first = next(iter(cuts))
    assert first.load_audio().shape == (1, 16000) and (first.start, first.duration) == (0.2, 1.0)
    half = first.truncate(offset=0.2, duration=0.4)  # tokens are cut with the audio
    np.testing.assert_array_equal(half.load_semantic_tokens(), data["semantic"]["a-1"][10:30])
    bring_back("lhotse")
    assert DataDir("imported").segments()["a-1"][1:] == (0.2, 1.2)


def write_cuts(times, recording="r.wav"):
    """What lhotse would write, of one long recording: utterances with start and duration."""
    Path("exported/arrays").mkdir(parents=True)
    Path("exported/semantic.json").write_text(json.dumps(vars(INFOS["semantic"])))
    with gzip.open("exported/cuts.jsonl.gz", "wt", encoding="utf-8") as stream:
        for name, (start, duration) in times.items():
            np.save(f"exported/arrays/{name}.npy", np.arange(9))
            array = {"storage_type": "numpy_files", "storage_path": "exported/arrays", "storage_key": f"{name}.npy"}
            source = {"sources": [{"type": "file", "source": recording}], "duration": 50_000.0}
            cut = {"id": name, "start": start, "duration": duration, "recording": source}
            stream.write(json.dumps({**cut, "custom": {"semantic_tokens": {"array": array}}}) + "\n")


def test_times_far_into_a_recording_are_kept_to_the_microsecond(data):
    times = {"a": (0.0, 1.5), "b": (12345.678901, 20.25), "c": (48_000.000021, 1234.000005)}
    write_cuts(times)
    bring_back("lhotse")
    found = DataDir("imported")
    for name, (start, duration) in times.items():
        assert found.segments()[name][1:] == pytest.approx((start, start + duration), abs=1e-6)
        assert found.durations()[name] == pytest.approx(duration, abs=1e-6)


def test_cuts_damaged_anywhere_are_refused_by_name(data):
    write_cuts({"a": (0.0, 1.5), "b": (2.0, 1.0)})
    path = Path("exported/cuts.jsonl.gz")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    damaged = [gzip.compress(b"\xff" + gzip.decompress(whole)), whole[:-9]]
    places = range(24, len(whole))  # after the file's name
    damaged += [bytes([*whole[:at], whole[at] ^ int(rng.integers(1, 256)), *whole[at + 1 :]]) for at in places]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises((ValueError, FileNotFoundError), match="exported"):
            bring_back("lhotse")
        assert not Path("imported").exists()


@pytest.mark.integration  # for the time of importing it
def test_espnets_reader_reads_its_data_json(data):
    dataset = pytest.importorskip("espnet2.train.dataset", reason="needs espnet")
    export("espnet")

    class Arrays:
        """In the place of ESPnet's preprocessor, which makes numbers of words."""

        def __call__(self, uid, found):
            words = {name: [*map(ord, value)] for name, value in found.items() if isinstance(value, str)}
            return {name: np.asarray(value) for name, value in (found | words).items()}

    triplets = [("exported/data.json", "json", "dataset_json")]
    found = dataset.ESPnetMultiTaskDataset(triplets, preprocess=Arrays())
    assert sorted(found.iterator_map) == [f"codec_tts_{name}" for name in sorted(SECONDS)]
    flat = {
        name: [level * 1024 + code for frame in data["acoustic"][name] for level, code in enumerate(frame)]
        for name in SECONDS
    }
    voices = {"a-1": "a-2.x", "a-2.x": "a-1", "b-1": "b-1"}  # it prompts with another one of the speaker
    for name in SECONDS:
        uid, values = found.iterator_map[f"codec_tts_{name}"][name]
        assert uid == name and "".join(map(chr, values["text"])) == TEXTS[name]
        np.testing.assert_array_equal(values["semantic.scp"], data["semantic"][name])
        assert values["wav.scp"].tolist() == flat[name]
        assert values["utt2spk"].tolist() == flat[voices[name]]


def test_webdataset_reads_samples_with_npy_and_json(data):
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset")
    export("webdataset")
    samples = list(webdataset.WebDataset("exported/tokens-000000.tar", shardshuffle=False).decode())
    assert [sample["json"]["id"] for sample in samples] == sorted(SECONDS)
    for sample in samples:
        name = sample["json"]["id"]
        assert sample["json"]["text"] == TEXTS[name]
        np.testing.assert_array_equal(sample["semantic.npy"], data["semantic"][name])
        np.testing.assert_array_equal(sample["acoustic.npy"], data["acoustic"][name])


@pytest.mark.parametrize(
    "form, damage, message",
    [
        ("espnet", ("acoustic.ark", 40), "no vector of integers is there"),
        ("espnet", ("wav.scp", "a-1 cat x|\n"), "expected <ark>:<offset>"),
        ("webdataset", ("tokens-000000.tar", 2000), "tokens-000000.tar"),
        ("webdataset", ("semantic.json", "{}"), "semantic.json"),
    ],
)
def test_damage_is_refused_by_name_and_leaves_nothing(data, form, damage, message):
    export(form)
    path = Path("exported", damage[0])
    path.write_bytes(damage[1].encode() if isinstance(damage[1], str) else path.read_bytes()[: damage[1]])
    with pytest.raises(ValueError, match=message):
        bring_back(form)
    assert not Path("imported").exists()
    with pytest.raises(ValueError, match="exported: is there already"):
        export(form)


def test_decoded_speech_goes_out_with_a_list_of_its_prompts_and_words(data):
    Path("decoded").mkdir()
    Path("decoded/decode.json").write_text(json.dumps({"prompt_seconds": 0.5}))
    for name in SECONDS:
        soundfile.write(f"decoded/{name}.wav", np.zeros(8000), 8000)
    write_table("decoded/wav.scp", {name: f"decoded/{name}.wav" for name in SECONDS})
    options = ["--data-dir", "data", "--decode-dir", "decoded", "--output"]
    export_wavs.main([*options, "out"])
    lines = [line.split("|") for line in Path("out/meta.lst").read_text().splitlines()]
    assert lines[0] == ["a-1", "", "prompts/a-1.wav", "red one"] and lines[1][3] == "blue \u00fc   two"
    for name, _, prompt, _ in lines:
        assert soundfile.info(f"out/{prompt}").frames == 4000
        assert Path(f"out/wavs/{name}.wav").read_bytes() == Path(f"decoded/{name}.wav").read_bytes()
    Path("decoded/decode.json").write_text(json.dumps({"prompt_seconds": 0.0}))
    export_wavs.main([*options, "plain"])
    assert "a-1|||red one\n" in Path("plain/meta.lst").read_text() and not Path("plain/prompts").exists()
    Path("data/text").write_text("a-1 red one\n")
    with pytest.raises(ValueError, match="no words of a-2.x and 1 more"):
        export_wavs.main([*options, "other"])


def test_the_commands_know_the_formats():
    assert export_tokens.FORMATS == tuple(FORMATS)
