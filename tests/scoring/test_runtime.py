import json

import pytest

from soundstorm.scoring.runtime import read_timing


def test_the_real_time_factor_is_seconds_per_second_of_speech(tmp_path):
    path = tmp_path / "timing.json"
    parts = {"soundstorm": {"seconds": 2, "audio_seconds": 10}, "codec": {"seconds": 1, "audio_seconds": 10}}
    path.write_text(json.dumps(parts))
    factors = {name: part.real_time_factor for name, part in read_timing(path).items()}
    assert factors == pytest.approx({"soundstorm": 0.2, "codec": 0.1, "total": 0.3})


def test_all_parts_of_a_prompted_system_are_measured_by_the_speech_that_is_not_the_prompt(tmp_path):
    path = tmp_path / "timing.json"
    seconds = {"text_to_semantic": (6, 7.0), "soundstorm": (2, 7.0), "codec": (1, 10.0), "reranking": (1, 10.0)}
    path.write_text(json.dumps({name: {"seconds": s, "audio_seconds": a} for name, (s, a) in seconds.items()}))
    parts = read_timing(path)
    assert parts["total"].audio_seconds == 7 and parts["total"].real_time_factor == pytest.approx(10 / 7)
    assert parts["codec"].real_time_factor == pytest.approx(0.1)


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"codec": 3}', '{"codec": {"seconds": 1}}', '{"codec": {"seconds": 1, "audio_seconds": 0}}'],
)
def test_a_file_of_another_shape_is_refused_by_name(tmp_path, content):
    path = tmp_path / "timing.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"timing\.json: (expected|not JSON)"):
        read_timing(path)
