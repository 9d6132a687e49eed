"""Recordings of users as prompts, whatever their files and arrays are like."""

import io

import numpy as np
import pytest
import soundfile

from soundstorm.data.errors import InputError
from soundstorm.decoding.voice_prompt import decode_sound
from tests.data.test_audio import without_length


@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_read_to_its_end_whatever_its_header_says(channels):
    samples = np.random.default_rng(0).normal(0, 0.1, (40_000, channels)).astype(np.float32)
    content = io.BytesIO()
    soundfile.write(content, samples, 16000, format="FLAC")
    expected = soundfile.read(io.BytesIO(content.getvalue()), dtype="float32")[0]
    for file in (content.getvalue(), without_length(content.getvalue())):
        sound = decode_sound(io.BytesIO(file), "x", 40_000 * channels)
        np.testing.assert_array_equal(sound.samples, expected)
        with pytest.raises(InputError, match=f"x: has more than 2 s of {channels} channels at 16000 Hz, expected"):
            decode_sound(io.BytesIO(file), "x", 40_000 * channels - 1)
