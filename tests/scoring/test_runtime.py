import json

import pytest

from soundstorm.scoring.runtime import read_timing


def test_the_real_time_factor_is_seconds_per_second_of_speech(tmp_path):
    path = tmp_path / "timing.json"
    parts = {"soundstorm": {"seconds": 2, "audio_seconds": 10}, "codec": {"seconds": 1, "audio_seconds": 10}}
    path.write_text(json.dumps(parts))
    factors = {name: part.real_time_factor for name, part in read_timing(path).items()}
    assert factors == pytest.approx({"soundstorm": 0.2, "codec": 0.1, "total": 0.3})


@pytest.mark.parametrize(
    "content",
    ["[]", "{", '{"codec": 3}', '{"codec": {"seconds": 1}}', '{"codec": {"seconds": 1, "audio_seconds": 0}}'],
)
def test_a_file_of_another_shape_is_refused_by_name(tmp_path, content):
    path = tmp_path / "timing.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"timing\.json: (expected|not JSON)"):
        read_timing(path)
