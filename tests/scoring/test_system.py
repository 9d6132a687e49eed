import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from safetensors.torch import save_file

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.experiment import start_experiment
from soundstorm.data.share import Share
from soundstorm.models.consistency import build_consistency, load_consistency
from soundstorm.models.consistency_config import ConsistencyConfig, DataSources
from soundstorm.scoring.assemble import ScoringJob, score_files
from soundstorm.scoring.intelligibility import Transcript
from soundstorm.scoring.measures import Measured
from soundstorm.scoring.score_file import read_score
from soundstorm.scoring.scoring_config import ScoreConfig
from soundstorm.scoring.statistics import bootstrap
from soundstorm.scoring.system import read_decode_info, score_system


def make_dir(folder, seconds, decode=None):
    folder.mkdir()
    lines = []
    for utt_id, duration in seconds.items():
        wav = 0.1 * np.sin(np.arange(int(16000 * duration)) * 0.1)
        write_audio(folder / "wav" / f"{utt_id}.wav", wav.astype(np.float32), 16000)
        lines.append(f"{utt_id} {folder}/wav/{utt_id}.wav\n")
    (folder / "wav.scp").write_text("".join(lines))
    if decode is not None:
        (folder / "decode.json").write_text(json.dumps(decode))
        (folder / "timing.json").write_text(json.dumps({"codec": {"seconds": 1, "audio_seconds": 10}}))
    return folder


class Length:
    """A measure: how much longer the output is, of utterances that have a text."""

    def __call__(self, pair):
        if pair.text is None:
            return Measured()
        return Measured({"longer": (len(pair.decoded) - len(pair.original), 16000.0)}, {"note": pair.text})


@pytest.mark.parametrize(
    "decode, group, starts",
    [
        (None, "reference", True),
        ({"from": "codec", "prompt_seconds": 0}, "reference", True),
        ({"from": "semantic", "prompt_seconds": 0}, "without prompt", False),
        ({"from": "text", "prompt_seconds": 3}, "with prompt", True),
    ],
)
def test_rows_fall_into_the_groups_of_table_1(tmp_path, decode, group, starts):
    folder = None if decode is None else make_dir(tmp_path / "decode", {"a": 0.1}, decode)
    info = read_decode_info(folder)
    assert (info.group, info.starts_with_prompt) == (group, starts)


@pytest.mark.parametrize("content", ["{", "[]", '{"from": "dreams"}'])
def test_a_decode_file_of_another_shape_is_refused(tmp_path, content):
    (tmp_path / "decode.json").write_text(content)
    with pytest.raises(ValueError, match="decode.json: .*decode again"):
        read_decode_info(tmp_path)


def test_something_that_is_no_decode_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a decode directory"):
        read_decode_info(tmp_path)


@pytest.fixture
def consistency(tmp_path, hubert_dir):
    """An experiment with a consistency network of random weights."""
    config = ConsistencyConfig(layer=1, width=16, heads=2, embedding_dim=8)
    network, *_ = build_consistency(config, str(hubert_dir))
    expdir = tmp_path / "consistency"
    data = DataSources("train", "valid", str(hubert_dir))
    start_experiment(expdir, {"model": config, "data": data}, ["test"])
    save_file(network.state_dict(), expdir / "model.safetensors")
    return str(expdir)


def score(tmp_path, decoded, **options):
    original = Utterances(make_dir(tmp_path / "data", {"a": 4.0, "b": 5.0, "c": 3.0}), 16000)
    return score_system(
        "row",
        original=original,
        decoded=decoded and Utterances(decoded, 16000),
        texts={"a": "x", "b": "y"},
        ids=original.ids,
        measures=[Length()],
        info=read_decode_info(decoded),
        **options,
    )


def test_a_score_has_counts_intervals_lengths_and_every_utterance(tmp_path):
    decoded = make_dir(tmp_path / "decode", {"a": 5.0, "b": 7.0}, {"from": "text"})
    content = score(tmp_path, decoded, timing=decoded / "timing.json")
    assert (content["num_utterances"], content["num_missing"]) == (2, 1)
    assert content["metrics"]["longer"]["all"]["value"] == pytest.approx(1.5)
    assert (
        content["metrics"]["longer"]["all"]["low"] == 1.0
        and content["metrics"]["longer"]["short"]["count"] == 2
    )
    assert content["utterances"]["b"] == {"seconds": 5.0, "decoded_seconds": 7.0, "longer": 2.0, "note": "y"}
    assert content["runtime"]["codec"]["real_time_factor"] == 0.1


def test_without_a_decode_directory_the_originals_are_scored(tmp_path):
    content = score(tmp_path, None)
    assert content["group"] == "reference" and content["metrics"]["longer"]["all"]["value"] == 0.0
    assert content["num_utterances"] == 3  # one has no text, so that its errors are not counted
    assert content["metrics"]["longer"]["all"]["count"] == 2


def test_a_decoded_recording_that_cannot_be_read_is_named_and_left_out(tmp_path, monkeypatch):
    decoded = make_dir(tmp_path / "decode", {"a": 4.0, "b": 5.0, "c": 3.0}, {"from": "text"})
    (decoded / "wav/b.wav").write_text("no audio")
    with pytest.raises(ValueError, match="recording has no value for 1 of 3 utterances: b: .*At least 95 %"):
        score(tmp_path, decoded)
    shutil.rmtree(tmp_path / "data")
    monkeypatch.setattr("soundstorm.scoring.measuring.LEAST_SHARE", 0.6)
    assert list(score(tmp_path, decoded)["left_out"]["recording"]) == ["b"]


def test_output_of_another_set_is_refused(tmp_path):
    decoded = make_dir(tmp_path / "decode", {"z": 5.0}, {"from": "text"})
    with pytest.raises(ValueError, match="row: none of the 3 utterances"):
        score(tmp_path, decoded)


def test_scoring_again_writes_nothing_until_an_input_changes(tmp_path, consistency, monkeypatch):
    data = make_dir(tmp_path / "data", {"a": 4.0, "b": 6.0})
    decoded = make_dir(tmp_path / "decode", {"a": 4.0, "b": 6.0}, {"from": "semantic", "prompt_seconds": 0})
    output = tmp_path / "score" / "x.json"
    loaded = []

    def count_and_load(expdir, **options):
        loaded.append(expdir)
        return load_consistency(expdir, **options)

    monkeypatch.setattr("soundstorm.models.consistency.load_consistency", count_and_load)

    def run(**options):
        return score_files(
            [
                ScoringJob("row", str(data), str(decoded), str(output)),
                ScoringJob("original", str(data), None, str(output.with_name("original.json"))),
            ],
            recognizers=[],
            vocabulary_text=None,
            speaker=None,
            consistency=consistency,
            sample_rate=16000,
            device="cpu",
            config=ScoreConfig(quality_utterances=0, crop_seconds=1.0),
            **options,
        )

    both = [str(output), str(output.with_name("original.json"))]
    assert run(dry_run=True) == both
    assert not output.parent.exists() and not loaded
    assert run() == both
    assert loaded == [consistency]  # once for both rows
    assert read_score(output.with_name("original.json"))["group"] == "reference"
    written = output.stat().st_mtime_ns
    assert read_score(output)["metrics"]["acoustic_consistency"]["all"]["count"] == 2
    assert run() == []
    assert output.stat().st_mtime_ns == written
    (decoded / "timing.json").write_text(json.dumps({"codec": {"seconds": 22, "audio_seconds": 10}}))
    assert run(dry_run=True) == [str(output)]
    assert run() == [str(output)]
    assert read_score(output)["runtime"]["codec"]["seconds"] == 22.0


def test_a_file_that_is_no_score_is_named(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"system": "a"}')
    with pytest.raises(ValueError, match="x.json: a score file needs"):
        read_score(path)
    score = {"system": "a", "data_dir": "data", "group": "reference", "metrics": {}, "utterances": {}}
    score |= {"decode": {}, "num_utterances": 0}
    path.write_text(json.dumps(score))
    assert read_score(path) == score
    for name in score:
        path.write_text(json.dumps({key: value for key, value in score.items() if key != name}))
        with pytest.raises(ValueError, match=rf"x.json: a score file needs \['{name}'\]; score the system again"):
            read_score(path)
    path.write_text(
        json.dumps(score | {"settings": {"recognizers": [], "crop_seconds": 3.0, "prompt_seconds": 3.0}})
    )
    with pytest.raises(ValueError, match="x.json: not a score file .settings lack speaker."):
        read_score(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"prompt_seconds": 0},
        {"max_utterances": 0},
        {"quality_utterances": -1},
        {"text_normalizer": "klingon"},
        {"bootstrap": "set"},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"score.{next(iter(settings))} is"):
        ScoreConfig(**settings)


@pytest.mark.integration
def test_an_interrupted_score_goes_on_and_shares_make_the_whole(tmp_path, consistency):
    data = make_dir(tmp_path / "data", {"a": 4.0, "b": 6.0, "c": 5.0})

    def run(output, **options):
        score_files(
            [ScoringJob("row", str(data), None, str(output))], recognizers=[], vocabulary_text=None, speaker=None,
            consistency=consistency, sample_rate=16000, device="cpu",
            config=ScoreConfig(quality_utterances=0, crop_seconds=1.0), **options,
        )  # fmt: skip

    run(tmp_path / "whole.json")
    for number in (1, 2, 3):
        run(tmp_path / "shared.json", share=Share(number, 3))
    assert not (tmp_path / "shared.json").exists()
    for path in tmp_path.glob(
        "shared.json.share*"
    ):  # all but the first line of one was lost with the machine
        lines = path.read_text().splitlines(keepends=True)
        if len(lines) > 1:
            path.write_text(lines[0])
            break
    run(tmp_path / "shared.json")
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("whole.json", "shared.json"))
    assert one == two and not list(tmp_path.glob("shared.json.*"))


class Samples:
    """How long an utterance is, under the names of measures."""

    def __call__(self, pair):
        return Measured(dict.fromkeys(("voice_to_original", "wer"), (len(pair.decoded), 16000.0)))


@pytest.mark.parametrize(
    "table, drawn", [("a s\nb s\nc t\n", True), ("a s\nb s\nc s\n", False), ("a s\n", False)]
)
def test_utterances_are_drawn_by_speaker_where_the_test_set_has_two(tmp_path, table, drawn, monkeypatch, caplog):
    data = make_dir(tmp_path / "data", {"a": 4.0, "b": 5.0, "c": 3.0})
    (data / "utt2spk").write_text(table)
    monkeypatch.setattr("soundstorm.scoring.assemble._measures", lambda *_: [Samples()])
    score_files(
        [ScoringJob("row", str(data), None, str(tmp_path / "s.json"))], recognizers=[], vocabulary_text=None,
        speaker=None, consistency=None, sample_rate=16000, device="cpu", config=ScoreConfig(),
    )  # fmt: skip
    content = read_score(tmp_path / "s.json")
    expected = asdict(bootstrap([4.0, 5.0, 3.0], speakers=list("sst") if drawn else None))
    assert content["metrics"]["voice_to_original"]["all"] == content["metrics"]["wer"]["all"] == expected
    assert (content.get("num_speakers"), content["utterances"]["c"].get("speaker")) == (
        (2, "t") if drawn else (None, None)
    )
    assert ("no two speakers" in caplog.text) != drawn


class Timed:
    """A recogniser that hears a word a second, but the last one wrongly."""

    name, sample_rate = "timed", 16000

    def __call__(self, wavs):
        return [Transcript("a b c x", (0.0, 1.0, 2.0, 3.0)) for _ in wavs]


@pytest.mark.parametrize(
    "decode, after",
    [
        (None, 50.0),
        ({"from": "codec", "prompt_seconds": 0, "title": "Codec"}, 50.0),
        ({"from": "semantic", "prompt_seconds": 0, "title": "row"}, None),
        ({"from": "semantic", "prompt_seconds": 3, "title": "row"}, 100.0),
    ],
)
def test_the_codec_s_round_trip_has_the_error_rate_that_prompted_rows_are_compared_with(
    tmp_path, monkeypatch, decode, after
):
    """After the same seconds: those that the settings say, 2 here."""
    monkeypatch.setattr("soundstorm.scoring.assemble.load_recognizer", lambda name, **_: Timed())
    data = make_dir(tmp_path / "data", {"a": 4.0})
    (data / "text").write_text("a a b c d\n")
    decoded = None if decode is None else str(make_dir(tmp_path / "decode", {"a": 4.0}, decode))
    score_files(
        [ScoringJob(None, str(data), decoded, str(tmp_path / "s.json"))], recognizers=["timed"], vocabulary_text=None,
        speaker=None, consistency=None, sample_rate=16000, device="cpu",
        config=ScoreConfig(prompt_seconds=2.0, quality_utterances=0),
    )  # fmt: skip
    metrics = read_score(tmp_path / "s.json")["metrics"]
    assert metrics["wer"]["all"]["value"] == 25.0
    assert (metrics["wer_after_prompt"]["all"]["value"] if "wer_after_prompt" in metrics else None) == after
