import json
from pathlib import Path

from soundstorm.scoring import iterations

ESTIMATE = {"value": 50.0, "low": 40.0, "high": 60.0, "count": 4}


def test_each_number_of_iterations_is_scored_and_all_in_one_call(tmp_path, monkeypatch):
    calls = []

    def score_files(jobs, **options):
        calls.append([(job.system, Path(job.decode_dir).name, options) for job in jobs])
        for job in jobs:
            metrics = {"wer": {"all": {**ESTIMATE, "value": 100.0 / int(job.system.split()[0])}}}
            metrics["stoi"] = {"all": ESTIMATE}
            content = {"system": "s", "group": "reference", "data_dir": "d", "metrics": metrics}
            content |= {"utterances": {}, "num_utterances": 0, "decode": {}, "runtime": {}}
            Path(job.output).write_text(json.dumps(content))

    monkeypatch.setattr(iterations, "score_files", score_files)
    decode_dirs = {count: tmp_path / f"decode_{count}" for count in (8, 1)}
    points = iterations.score_iterations(decode_dirs, "data", device="cpu")
    names = [("8 iterations", "decode_8"), ("1 iterations", "decode_1")]
    assert calls == [[(*name, {"device": "cpu"}) for name in names]]
    assert [p["iterations"] for p in points] == [1, 8]
    assert [list(p["metrics"]) for p in points] == [["wer"], ["wer"]]
    assert [p["metrics"]["wer"]["value"] for p in points] == [100.0, 12.5]
