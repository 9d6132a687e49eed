"""Recordings of users as prompts, whatever their files and arrays are like."""

import io

import numpy as np
import pytest
import soundfile

from soundstorm.data.errors import InputError
from soundstorm.decoding.voice_prompt import Sound, decode_sound, one_channel
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


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "float16", "float64"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_of_any_type_are_the_same_sound(kind, channels):
    expected = np.random.default_rng(0).uniform(-0.9, 0.9, 16_000).astype(np.float32)
    samples, kind = expected.astype(np.float64), np.dtype(kind)
    if kind.kind in "iu":
        samples = np.rint((samples + (kind.kind == "u")) * 2.0 ** (8 * kind.itemsize - 1))
    samples = samples.astype(kind)
    sound = Sound(samples if channels == 1 else np.stack([samples, samples], 1), 16000)
    np.testing.assert_allclose(one_channel(sound, 16000, "x"), expected, atol=2.0**-7 if kind.itemsize == 1 else 1e-3)
    silence = np.full(16_000, 2 ** (8 * kind.itemsize - 1) if kind.kind == "u" else 0, kind)
    with pytest.raises(InputError, match="is silent"):
        one_channel(Sound(silence, 16000), 16000, "x")
