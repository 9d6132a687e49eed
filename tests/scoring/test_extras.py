
import pytest

from soundstorm.scoring.extras import extra, extra_figures, extra_sections, read_extra, write_extra
from soundstorm.timing.curves import measure_curves

ESTIMATE = {"value": 12.5, "low": 10.0, "high": 15.0, "count": 8}


def point(seconds, median, made=None, repeats=20):
    return {
        "seconds": seconds,
        "made_seconds": made or seconds,
        "median": median,
        "quartile_low": median,
        "quartile_high": median,
        "repeats": repeats,
    }


def runtime():
    points = {
        "codec decoding": [point(10.0, 0.01), point(20.0, 0.02)],
        "SoundStorm": [point(10.0, 0.5), point(20.0, 1.0)],
        "text to semantic": [point(10.0, 1.5, made=7.0, repeats=3)],
        "AudioLM stages 2 and 3": [point(10.0, 20.0), point(20.0, 51.0)],
    }
    models = ["SoundStorm", "AudioLM stages 2 and 3"]
    content = {"points": points, "acoustic_models": models, "threads": 2, "device": "cpu"}
    return extra("runtime", content, command="run")


def iterations():
    points = [{"iterations": n, "metrics": {"wer": ESTIMATE, "dnsmos": ESTIMATE}, "runtime": {}} for n in (1, 16)]
    content = {"data_dir": "data/test", "prompt_seconds": 0.0, "recognizer": "r", "points": points}
    return extra("iterations", content, command="run")


def detector(system="SoundStorm"):
    content = {"system": system, "accuracy": ESTIMATE, "crop_seconds": 1.0, "train_utterances": 5, "train_crops": 50}
    return extra("detector", {**content, "test_utterances": 8, "test_crops": 40}, command="run")


def trainings():
    points = [{"step": step, "loss": 4 / step, "accuracy/level0": step / 100} for step in (10, 25, 50, 100)]
    points[1]["accuracy/level1"] = 0.5  # no token of this level was masked in the other steps
    training = {
        "name": "soundstorm",
        "settings": {"training": {"max_steps": 100}},
        "figures": {"train": points, "valid": [None, None, points[2], points[3]]},
        "curves": {"train": [[10, 0.4], [100, 0.04]], "valid": []},
    }
    return extra("trainings", {"trainings": [training, {**training, "name": "codec"}]}, command="run")


def test_losses_of_trainings_are_shown_at_shares_of_their_steps():
    (section,) = extra_sections([trainings()])
    assert "| soundstorm | 100 | loss | 0.4 / - | 0.16 / - | 0.08 / 0.08 | 0.04 / 0.04 |" in section
    assert "|  |  | accuracy/level0 | 0.1 / - | 0.25 / - | 0.5 / 0.5 | 1 / 1 |" in section
    assert "|  |  | accuracy/level1 | - / - | 0.5 / - | - / - | - / - |\n| codec | 100 | loss |" in section


def test_run_times_are_shown_with_the_ratio_of_the_models():
    (section,) = extra_sections([runtime()])
    assert "| Seconds of audio | codec decoding | SoundStorm | text to semantic |" in section
    assert "| 10 | 0.010 | 0.500 | 1.500 (7.0 s made) | 20.000 | 40 |" in section
    assert "| 20 | 0.020 | 1.000 | - | 51.000 | 51 |" in section
    assert "median (of 3 to 20 runs); 2 threads" in section
    assert all(f"{name}: " in section for name in ("command", "commit", "date", "hardware"))


def test_detectors_of_several_systems_share_a_table():
    sections = extra_sections([detector(), iterations(), detector("From text")])
    assert len(sections) == 2 and "| 16 | 12.50 [10.00, 15.00] (8) |" in sections[0]
    assert sections[1].count("12.5 [10.0, 15.0] (8)") == 2


def test_a_measurement_is_written_with_its_figure_and_read_again(tmp_path):
    for content in (runtime(), iterations(), detector(), trainings()):
        path = tmp_path / "extras" / f"{content['kind']}.json"
        write_extra(path, content)
        assert read_extra(path) == content
        assert path.with_suffix(".png").exists() == (content["kind"] != "detector")
    figures = extra_figures([detector(), runtime(), iterations()], tmp_path / "figures")
    assert list(figures) == ["Run time against length", "Iterations of the first level on test"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.values())


@pytest.mark.parametrize(
    "content, message",
    [
        ("{}", "x.json: not a measurement for the report, of kind runtime, iterations, detector, abx, pairs"),
        ("[]", "x.json: "),
        ('{"kind": "odd", "facts": {}}', "no such kind of measurement: ..odd"),
        ('{"kind": "detector", "facts": {}}', "KeyError"),
        ('{"kind": "abx", "facts": {}, "data_dir": "d", "results": {}}', "IndexError"),
        ('{"kind": "runtime", "facts": {}, "points": 3}', "AttributeError"),
        ('{"kind": "trainings", "facts": {}, "trainings": [{"figures": {}}]}', "KeyError"),
        ('{"kind": "pairs", "facts": {}, "pairs": "p", "per_token": {"all": {}}, "total": {}}', "KeyError"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_extra(tmp_path / "x.json")


def test_a_part_is_run_once_to_warm_up_and_so_often_as_asked():
    runs = []

    def part(seconds):
        runs.append(["ready", seconds])
        return lambda: runs[-1].append("run") or seconds / 2

    curves = measure_curves({"p": part}, [3.0, 1.0], repeats=4)
    assert [run[:2] for run in runs] == [["ready", 1.0], ["ready", 3.0]]
    assert [run[2:] for run in runs] == [["run"] * 5] * 2
    assert [(p["seconds"], p["made_seconds"], p["repeats"]) for p in curves["p"]] == [(1.0, 0.5, 4), (3.0, 1.5, 4)]
    assert all(0 <= p["quartile_low"] <= p["median"] <= p["quartile_high"] for p in curves["p"])


def test_a_slow_part_is_timed_once_at_least_and_the_device_is_waited_for():
    events = []
    curves = measure_curves(
        {"p": lambda seconds: lambda: events.append("run") or seconds},
        [1.0],
        repeats=20,
        most_seconds=0.0,
        wait=lambda: events.append("wait"),
    )
    assert curves["p"][0]["repeats"] == 1
    assert events == ["run", "wait", "run", "wait"]
