import json
import re

import numpy as np
import pytest

from soundstorm.data.archive import TokenizerInfo, write_tokens
from soundstorm.data.audio import write_audio
from soundstorm.scoring.extras import extra, write_extra
from soundstorm.scoring.publish import choose_examples, codebook_usage, publish
from soundstorm.scoring.report_config import ReportConfig
from soundstorm.scoring.system import write_json


def make_recipe(folder):
    """A test set of two utterances, one system, and the score files of both rows."""
    point = {"value": 0.9, "low": 0.8, "high": 0.95, "count": 2}
    paths = []
    for name, group in (("Original", "reference"), ("From text", "without prompt")):
        directory = folder / name.replace(" ", "_")
        lines = []
        for utt_id in ("a", "b") if group == "reference" else ("b",):
            write_audio(directory / f"{utt_id}.wav", 0.1 * np.sin(np.arange(8000) / 9).astype(np.float32), 16000)
            lines.append(f"{utt_id} {directory}/{utt_id}.wav\n")
        (directory / "wav.scp").write_text("".join(lines))
        (directory / "text").write_text("a one | two\nb three\n")
        drift = [{"seconds": s, "quartile_low": 0.7, "quartile_high": 0.95, **point} for s in (3.0, 4.5)]
        content = {
            "system": name,
            "group": group,
            "data_dir": str(folder / "Original"),
            "decode_dir": None if group == "reference" else str(directory),
            "decode": {} if group == "reference" else {"from": "text"},
            "num_utterances": len(lines),
            "num_missing": 0,
            "metrics": {"wer": {"all": point, "short": point}, "voice_to_original": {"all": point}},
            "drift": drift,
            "runtime": {"codec": {"seconds": 1.0, "audio_seconds": 10.0, "real_time_factor": 0.1}},
            "settings": {"recognizers": ["r"], "speaker": "s", "crop_seconds": 1.5, "prompt_seconds": 3.0},
            "utterances": {line.split()[0]: {"wer": 50.0, "hypothesis": "won"} for line in lines},
        }
        paths.append(folder / "score" / f"{directory.name}.json")
        write_json(paths[-1], content)
    return paths


def test_a_report_has_all_its_parts(tmp_path):
    paths = make_recipe(tmp_path)
    timing = tmp_path / "timing.tsv"
    timing.write_text("0\t40\n")
    publish(
        paths,
        tmp_path / "report",
        config=ReportConfig(title="Mini", examples=2, targets=("wer of original <= 1",)),
        command="./run.sh",
        timing=timing,
        running=("7", 60.0),
        results=tmp_path / "RESULTS.md",
    )
    files = {path.relative_to(tmp_path / "report").as_posix() for path in (tmp_path / "report").rglob("*.*")}
    assert {"report.json", "RESULTS.md", "index.html", "figures/Original_drift.png"} <= files
    assert {"figures/Original_wer.png", "figures/Original_runtime.png", "audio/00_01.flac"} <= files
    assert not any(path.startswith(".") or "/." in path for path in files)
    markdown = (tmp_path / "RESULTS.md").read_text()
    assert markdown == (tmp_path / "report" / "RESULTS.md").read_text()
    assert "wall time: 100 s (stage 0 40 s, stage 7 60 s)" in markdown and "- command: `./run.sh`" in markdown
    assert json.loads((tmp_path / "report" / "report.json").read_text())["targets"][0]["met"]
    assert "word errors</dt><dd>50 %" in (tmp_path / "report" / "index.html").read_text()


def test_a_report_names_the_gpu_that_decoded(tmp_path, monkeypatch):
    paths = make_recipe(tmp_path)
    paths[1].write_text(paths[1].read_text().replace('"from": "text"', '"from": "text", "device": "cuda:1"'))
    for here, named in ((True, "H200, "), (False, "a GPU, ")):
        monkeypatch.setattr("torch.cuda.is_available", lambda here=here: here)
        monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "H200")
        publish(paths, tmp_path / f"{here}", config=ReportConfig(), command="c")
        assert f"\n- hardware: {named}" in (tmp_path / f"{here}/RESULTS.md").read_text()


def test_a_second_report_changes_no_file_until_a_score_changes(tmp_path):
    paths = make_recipe(tmp_path)

    def run(command):
        publish(paths, tmp_path / "report", config=ReportConfig(), command=command, results=tmp_path / "R.md")
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "report").rglob("*")}

    first = run("one")
    assert run("two") == first
    paths[0].write_text(paths[0].read_text().replace('"Original"', '"Recorded"'))
    assert run("three") != first and "| Recorded |" in (tmp_path / "R.md").read_text()


def test_a_measurement_beside_the_scores_becomes_a_section_and_a_figure(tmp_path):
    paths, measured = make_recipe(tmp_path), tmp_path / "runtime.json"
    point = {"seconds": 10.0, "made_seconds": 10.0, "quartile_low": 1, "quartile_high": 2, "repeats": 20}

    def run(median):
        points = {"codec": [{**point, "median": median}]}
        write_extra(measured, extra("runtime", {"points": points, "threads": 2, "device": "cpu"}, command="c"))
        publish(paths, tmp_path / "report", config=ReportConfig(), command="c", extras=[measured])
        return (tmp_path / "report/RESULTS.md").read_text()

    assert "| 10 | 1.500 |" in run(1.5)
    assert (tmp_path / "report/figures/runtime_0.png").is_file()
    assert "Run time against length" in (tmp_path / "report/index.html").read_text()
    assert "| 10 | 1.250 |" in run(1.25)


def test_the_picture_of_losses_lies_beside_every_copy_of_the_text(tmp_path):
    figures = {"train": [None] * 4, "valid": [None] * 4}
    training = {"name": "x", "settings": {"training": {"max_steps": 1}}, "figures": figures}
    training["curves"] = {"train": [[1, 2.0]], "valid": []}
    write_extra(tmp_path / "trainings.json", extra("trainings", {"trainings": [training]}, command="c"))
    options = {"extras": [tmp_path / "trainings.json"], "results": tmp_path / "RESULTS_x.md"}
    publish(make_recipe(tmp_path), tmp_path / "report", config=ReportConfig(), command="c", **options)
    for path in (tmp_path / "report/RESULTS.md", tmp_path / "RESULTS_x.md"):
        (name,) = re.findall(r"!\[.*\]\((.*)\)", path.read_text())
        assert name == f"{path.stem}_losses.png" and path.with_name(name).read_bytes().startswith(b"\x89PNG")


def test_examples_are_utterances_that_every_system_has(tmp_path):
    rows = [json.loads(path.read_text()) for path in make_recipe(tmp_path)]
    (example,) = choose_examples(rows, 5, 16000)
    assert (example.name, example.text, [clip.system for clip in example.clips]) == (
        "b",
        "three",
        ["Original", "From text"],
    )


def test_no_example_is_a_recording_that_could_not_be_read(tmp_path):
    rows = [json.loads(path.read_text()) for path in make_recipe(tmp_path)]
    rows[1]["left_out"] = {"recording": {"b": "cannot be read"}}
    assert choose_examples(rows, 5, 16000) == []


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs score files, got none"):
        publish([], tmp_path / "report", config=ReportConfig(), command="c")


def write_dialogue(folder, **changes):
    """What synthesize_dialogue writes, at 24 kHz."""
    for name in ("dialogue", "prompt"):
        write_audio(folder / f"{name}.wav", 0.1 * np.sin(np.arange(12000) / 9).astype(np.float32), 24000)
    turns = [{"voice": "A", "text": "good morning"}, {"voice": "B", "text": "good night"}]
    record = {"seconds": 0.5, "turns": turns, "prompts": [{"path": "p.wav", "text": "hello | hi"}], **changes}
    write_json(folder / "dialogue.json", record)
    return folder


def test_a_dialogue_comes_first_on_the_page(tmp_path):
    paths = make_recipe(tmp_path)
    dialogue = write_dialogue(tmp_path / "chat")

    def run():
        publish(paths, tmp_path / "report", config=ReportConfig(), command="c", dialogue=dialogue)
        return (tmp_path / "report/index.html").read_text()

    page = run()
    assert re.findall("<h2>(.*)</h2>", page)[0] == "Dialogue: chat"
    assert "<li><b>B</b> good night</li>" in page and "hello | hi" in page
    write_dialogue(tmp_path / "chat", turns=[{"voice": "A", "text": "good evening"}])
    assert "good evening" in run()


@pytest.mark.parametrize("change", [{"turns": [{"voice": "A"}]}, {"prompts": 3}])
def test_a_damaged_dialogue_is_refused(tmp_path, change):
    paths = make_recipe(tmp_path)
    dialogue = write_dialogue(tmp_path / "chat", **change)
    with pytest.raises(ValueError, match="chat/dialogue.json: not what synthesize_dialogue writes"):
        publish(paths, tmp_path / "report", config=ReportConfig(), command="c", dialogue=dialogue)


def test_usage_and_perplexity_of_known_codes(tmp_path):
    info = TokenizerInfo("acoustic", "x", "f" * 64, 50.0, 2, 8, 16000)
    tokens = np.stack([np.tile([0, 1, 2, 3], 5), np.zeros(20)], axis=1).astype(np.uint16)
    write_tokens(tmp_path / "acoustic", [("a", tokens[:12]), ("b", tokens[12:])], info)
    even, collapsed = codebook_usage(tmp_path / "acoustic.scp")
    assert even == {"level": 0, "usage": 50.0, "perplexity": pytest.approx(4.0)}
    assert collapsed == {"level": 1, "usage": 12.5, "perplexity": pytest.approx(1.0)}
