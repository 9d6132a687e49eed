import numpy as np
import pytest

from soundstorm.scoring.measures import Pair
from soundstorm.scoring.voice_preservation import CachedSpeakerModel, VoicePreservation, load_speaker_model


class MeanAndOne:
    """A speaker model whose embeddings are easy to work out: the mean sample, and 1."""

    name, sample_rate = "mean", 10

    def __init__(self):
        self.heard = []

    def __call__(self, wav):
        self.heard.append(wav)
        return np.array([wav.mean(), 1.0])


def angle(a, b):
    return (a * b + 1) / np.sqrt((a * a + 1) * (b * b + 1))


def pair(original, decoded):
    return Pair("u", np.float32(original), np.float32(decoded), 10)


def test_the_prompt_does_not_score_itself():
    measure = VoicePreservation(MeanAndOne(), prompt_seconds=3, starts_with_prompt=True)
    values = measure(pair([4, 6] * 30, [0, 2] * 15 + [1, 3] * 15)).values
    assert values["voice_preservation"][0] == pytest.approx(angle(1, 2))
    assert values["voice_to_original"][0] == pytest.approx(angle(5, 2))


def test_the_same_recording_is_embedded_once(monkeypatch):
    model = MeanAndOne()
    speaker = CachedSpeakerModel(model)
    wavs = [np.float32([value] * 4) for value in (1, 2, 1, 2, 1)]
    for wav in wavs:
        assert np.array_equal(speaker(wav), [wav.mean(), 1.0])
    assert len(model.heard) == 2
    monkeypatch.setattr(CachedSpeakerModel, "capacity", 2)
    speaker(np.float32([3] * 4))  # the first one is forgotten
    speaker(wavs[1])
    assert len(model.heard) == 3
    speaker(wavs[0])
    assert len(model.heard) == 4


def test_an_unprompted_output_is_compared_with_the_original_prompt_only():
    measure = VoicePreservation(MeanAndOne(), prompt_seconds=3, starts_with_prompt=False)
    assert set(measure(pair([4, 6] * 30, [0, 2] * 30)).values) == {"voice_to_original"}


def test_prompted_and_unprompted_outputs_are_cut_at_the_same_place():
    for prompted in (True, False):
        speaker = MeanAndOne()
        VoicePreservation(speaker, prompt_seconds=3, starts_with_prompt=prompted)(pair(range(60), range(60)))
        assert speaker.heard[0].tolist() == list(range(30, 60))


@pytest.mark.parametrize("original, decoded", [([1] * 60, [1] * 39), ([1] * 20, [1] * 60)])
def test_too_little_speech_is_not_scored(original, decoded):
    measure = VoicePreservation(MeanAndOne(), prompt_seconds=3, starts_with_prompt=True)
    assert measure(pair(original, decoded)).values == {}


def test_another_sample_rate_is_refused():
    measure = VoicePreservation(MeanAndOne(), prompt_seconds=3, starts_with_prompt=True)
    with pytest.raises(ValueError, match="mean reads 10 Hz, but u has 16000 Hz"):
        measure(Pair("u", np.ones(4), np.ones(4), 16000))


def test_no_prompt_to_cut_is_refused():
    with pytest.raises(ValueError, match="score.prompt_seconds is 0"):
        VoicePreservation(MeanAndOne(), prompt_seconds=0, starts_with_prompt=False)


def buzz(frequency, seed):
    """A harmonic buzz with slow loudness, roughly a voice."""
    generator = np.random.default_rng(seed)
    time = np.arange(32000) / 16000
    wave = sum(np.sin(2 * np.pi * frequency * k * time + generator.uniform(0, 6)) / k for k in range(1, 20))
    return (0.1 * wave * (1 + 0.5 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def test_resemblyzer_tells_a_low_voice_from_a_high_one():
    pytest.importorskip("resemblyzer")
    speaker = load_speaker_model("resemblyzer")
    assert speaker.name == "resemblyzer"
    low, low_again, high = (speaker(buzz(f, seed)) for f, seed in ((100, 0), (100, 1), (260, 2)))
    assert low @ low_again > low @ high


def test_a_transformers_x_vector_model_loads_by_name(tmp_path):
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    config = WavLMConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                         conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(20, 16),
                          feat_extract_norm="layer",
                         num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
                          tdnn_dim=(8, 8, 8, 8, 16),
                         xvector_output_dim=12)  # fmt: skip
    WavLMForXVector(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=16000).save_pretrained(tmp_path)
    speaker = load_speaker_model(str(tmp_path))
    assert speaker.sample_rate == 16000 and speaker(buzz(120, 0)).shape == (12,)


@pytest.mark.parametrize(
    "original, decoded, left, why",
    [
        ([4, 6] * 30, [0] * 60, set(), "what follows the prompt is silent"),
        ([0] * 60, [4, 6] * 30, {"voice_preservation"}, "the prompt is silent"),
        ([4, 6] * 30, [0] * 30 + [4, 6] * 15, {"voice_to_original"}, "the prompt is silent"),
        ([4, 6] * 30, [4, 6] * 16, set(), "less than 1 s follow the prompt"),
    ],
)
def test_silence_has_no_voice(original, decoded, left, why):
    measured = VoicePreservation(MeanAndOne(), prompt_seconds=3, starts_with_prompt=True)(
        pair(original, decoded)
    )
    assert set(measured.values) == left and set(measured.values) ^ set(measured.undefined) == {
        "voice_preservation",
        "voice_to_original",
    }
    assert set(measured.undefined.values()) == {why}
