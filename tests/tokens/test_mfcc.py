"""MFCC: shape, time, and agreement with cepstra computed by hand."""

import numpy as np
import pytest
import scipy.fft

from soundstorm.tokens.mfcc import MfccFeatures


def noise(length):
    return np.random.default_rng(0).standard_normal(length).astype(np.float32) * 0.1


@pytest.mark.parametrize("rate, hop", [(50.0, 320), (100.0, 160)])
@pytest.mark.parametrize("length", [320, 5000, 16000])
def test_a_recording_has_a_frame_of_39_dimensions_for_each_whole_hop(rate, hop, length):
    (features,) = MfccFeatures(frame_rate=rate).extract([noise(length)])
    assert features.shape == (length // hop, 39) and features.dtype == np.float32
    assert np.isfinite(features).all()


def test_a_frame_looks_at_the_middle_of_its_hop():
    wav = np.zeros(320 * 20, dtype=np.float32)
    wav[320 * 7 + 160] = 1.0  # a click in the middle of hop 7
    (features,) = MfccFeatures().extract([wav])
    assert features[:, 0].argmax() == 7


def test_cepstra_are_the_cosine_transform_of_decibels_in_mel_bands():
    import librosa

    wav = noise(3200)
    (features,) = MfccFeatures().extract([wav])
    padded = np.pad(wav, 96)
    bank = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40)
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    powers = np.stack([np.abs(np.fft.rfft(padded[t * 320 : t * 320 + 512] * window)) ** 2 for t in range(10)])
    decibels = 10 * np.log10(np.maximum(powers @ bank.T, 1e-10))
    expected = scipy.fft.dct(decibels, norm="ortho")[:, :13]
    np.testing.assert_allclose(features[:, :13], expected, atol=1e-2)


def test_slopes_of_a_steady_sound_are_zero():
    wav = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000).astype(np.float32)  # 10 periods a hop
    (features,) = MfccFeatures().extract([wav])
    assert np.abs(features[5:-5, 13:]).max() < 1e-2 < np.abs(features[:, :13]).max()


def test_a_recording_without_a_frame_is_refused():
    with pytest.raises(ValueError, match="shorter than one frame"):
        MfccFeatures().extract([noise(200)])


def test_a_frame_rate_that_does_not_divide_the_sample_rate_is_refused():
    with pytest.raises(ValueError, match="frame rate 30/s does not divide"):
        MfccFeatures(frame_rate=30.0)
