import numpy as np
import pytest

from soundstorm.scoring.audio_quality import CodecQuality, Dnsmos, mel_distance, si_sdr, stoi
from soundstorm.scoring.dnsmos import DnsmosNetworks
from soundstorm.scoring.measures import Pair


def speech_like(seed, seconds=2.0):
    generator = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    wave = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 25))
    gate = np.repeat(generator.uniform(0, 1, size=int(10 * seconds)), 1600)
    return (0.1 * wave * gate).astype(np.float32)


def noisy(wav, snr, seed=0):
    noise = np.random.default_rng(seed).standard_normal(len(wav))
    noise *= np.sqrt(np.mean(wav**2) / np.mean(noise**2)) * 10 ** (-snr / 20)
    return (wav + noise).astype(np.float32)


def test_si_sdr_is_the_signal_to_noise_ratio_whatever_the_level():
    wav = speech_like(0)
    assert si_sdr(wav, noisy(wav, 15.0)) == pytest.approx(15.0, abs=0.3)
    assert si_sdr(wav, 3.0 * noisy(wav, 15.0)) == pytest.approx(si_sdr(wav, noisy(wav, 15.0)), abs=1e-3)


def test_a_silent_reference_is_refused():
    with pytest.raises(ValueError, match="silent reference"):
        si_sdr(np.zeros(100), np.ones(100))


def test_an_estimate_equal_to_the_reference_is_limited_to_100_db():
    assert si_sdr(speech_like(0), speech_like(0)) == 100.0


def test_mel_distance_is_zero_for_equal_recordings_and_grows_with_noise():
    wav = speech_like(0)
    distances = [mel_distance(wav, noisy(wav, snr), sample_rate=16000) for snr in (40, 20, 0)]
    assert mel_distance(wav, wav, sample_rate=16000) == 0.0
    assert 0.0 < distances[0] < distances[1] < distances[2]


def test_ten_times_louder_is_one_decade_of_mel_distance():
    generator = np.random.default_rng(0)
    wav = generator.standard_normal(8000)
    assert mel_distance(wav, 10 * wav, sample_rate=16000) == pytest.approx(1.0, abs=1e-3)


def test_stoi_falls_with_noise():
    pytest.importorskip("pystoi")
    wav = speech_like(0)
    assert stoi(wav, noisy(wav, 30), sample_rate=16000) > stoi(wav, noisy(wav, 0), sample_rate=16000)


def test_codec_output_may_be_a_frame_longer_but_not_a_second():
    pytest.importorskip("pystoi")
    wav = speech_like(0)
    longer = np.concatenate([wav, np.zeros(320, dtype=np.float32)])
    values = CodecQuality()(Pair("u", wav, longer, 16000)).values
    assert values["mel_distance"] == (0.0, 1.0) and set(values) == {"mel_distance", "si_sdr", "stoi"}
    with pytest.raises(ValueError, match="u: the codec's output is 1.00 s longer or shorter"):
        CodecQuality()(Pair("u", wav, wav[:16000], 16000))


@pytest.mark.parametrize(
    "samples",
    [
        160 * 275,  # whole frames: the second window begins with the third repetition's
        160 * 501 + 7,  # repetitions that differ frame by frame
        160 * 1105,  # two windows without repetition
    ],
)
def test_dnsmos_is_that_of_its_package_but_for_rounding(samples):
    dnsmos = pytest.importorskip("speechmos.dnsmos")
    wav = noisy(speech_like(1, seconds=13.0), 20.0)[-samples:]
    expected = dnsmos.run(wav, sr=16000)
    assert DnsmosNetworks()(wav) == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-3)


@pytest.mark.integration
def test_dnsmos_rates_noise_lower_than_something_like_speech():
    pytest.importorskip("speechmos")
    measure = Dnsmos()
    wav = speech_like(0)
    noise = (0.1 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    clean, bad = (measure(Pair("u", wav, sound, 16000)).values for sound in (wav, noise))
    assert set(clean) == {"dnsmos", "dnsmos_signal", "dnsmos_background", "dnsmos_p808"}
    assert bad["dnsmos"][0] < clean["dnsmos"][0] <= 5.0


def test_what_is_silent_or_too_short_has_no_value_and_says_why():
    pytest.importorskip("pystoi")
    wav = speech_like(0)
    silence = np.zeros_like(wav)
    measured = CodecQuality()(Pair("u", silence, wav, 16000))
    assert measured.values == {} and set(measured.undefined) == {"mel_distance", "si_sdr", "stoi"}
    measured = CodecQuality()(Pair("u", wav, silence, 16000))
    assert set(measured.values) == {"mel_distance"} and "codec is silent" in measured.undefined["si_sdr"]
    for short in (wav[1600:1920], wav[1600:6400], np.concatenate([wav[1600:3200], silence])):
        measured = CodecQuality()(Pair("u", short, short, 16000))
        assert set(measured.undefined) == {"stoi"} and measured.values["si_sdr"] == (100.0, 1.0)


@pytest.mark.parametrize("seconds, level", [(0.02, 1.0), (2.0, 0.0)])
def test_dnsmos_of_silence_or_of_an_instant_is_undefined(seconds, level):
    pytest.importorskip("speechmos")
    wav = np.float32(level) * speech_like(0)[: int(16000 * seconds)]
    measured = Dnsmos()(Pair("u", wav, wav, 16000))
    assert measured.values == {} and len(measured.undefined) == 4
