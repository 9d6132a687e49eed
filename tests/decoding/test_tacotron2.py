"""Tacotron 2 from data directory to speech: both trainings, synthesis, alignments, messages."""

import json
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soundstorm.bin import measure_alignments, synthesize, train_tacotron2
from soundstorm.data.archive import write_tokens
from soundstorm.data.audio import Utterances, read_audio, write_audio
from soundstorm.data.errors import InputError
from soundstorm.data.mel_features import MelConfig, griffin_lim, mel_features
from soundstorm.data.text import ByteTokenizer
from soundstorm.decoding.acoustic_generator import load_generator
from soundstorm.decoding.tacotron2_kind import Tacotron2SamplingConfig
from soundstorm.decoding.tacotron2_reader import Tacotron2Reader, load_wavenet
from soundstorm.models.feature_network import load_feature_network
from soundstorm.models.wavenet_generation import generate
from soundstorm.training import tacotron2_training
from soundstorm.training.tacotron2_training import FeatureParts, SpokenTexts, predict
from tests.tokens.test_acoustic import write_experiment

pytest.importorskip("espnet2", reason="ESPnet is not installed")
SECONDS = {"a-1": 0.9, "a-2": 1.4, "b-1": 1.0, "b-2": 1.2}
SMALL = (
    "--mel.sample_rate 16000 --mel.hop 200 --mel.window 400 --mel.num_mels 20 --model.embedding 6 "
    "--model.encoder_convolutions 1 --model.encoder_width 8 --model.attention 6 --model.location_filters 2 "
    "--model.location_kernel 3 --model.decoder_width 8 --model.prenet 4 --model.postnet_layers 2 "
    "--model.postnet_width 4 --model.reduction 2 --training.max_steps 2 --training.batch_size 2 --wavenet.layers 2 "
    "--wavenet.cycles 1 --wavenet.residual 4 --wavenet.gate 4 --wavenet.skip 4 --wavenet.mixtures 2 "
    "--wavenet.upsampling 10,20 --wavenet.crop_frames 4 --wavenet_training.max_steps 2 --wavenet_training.batch_size 2"
).split()


class Voice:
    """Embeds the loudness."""

    sample_rate = 16000

    def __call__(self, wav):
        return np.array([1.0, float(np.abs(wav).mean())], dtype=np.float32)


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Data, tokens' lengths, a codec, and both networks after two steps."""
    root = tmp_path_factory.mktemp("tacotron2")
    data, rng = root / "data", np.random.default_rng(0)
    codec = write_experiment(root / "codec")
    tables = {"wav.scp": [], "text": [], "utt2spk": []}
    for utt, seconds in SECONDS.items():
        wav = 0.1 * np.sin(np.arange(int(seconds * 16000)) * (0.05 + 0.02 * rng.random())).astype(np.float32)
        write_audio(data / f"wav/{utt}.wav", wav, 16000)
        tables["wav.scp"].append(f"{utt} {data}/wav/{utt}.wav\n")
        tables["text"].append(f"{utt} red {utt[-1]} blue\n")
        tables["utt2spk"].append(f"{utt} {utt[0]}\n")
    for name, lines in tables.items():
        (data / name).write_text("".join(lines))
    from soundstorm.tokens.acoustic import load_acoustic_tokenizer

    info = load_acoustic_tokenizer(str(codec)).info
    frames = {utt: np.zeros((round(s * info.frame_rate), info.num_levels), int) for utt, s in SECONDS.items()}
    write_tokens(data / "acoustic", frames.items(), info)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundstorm.scoring.voice_preservation.load_speaker_model", lambda name: Voice())
        for stage in ("features", "wavenet"):
            train(root, stage)
    return root


def train(root, stage, *more):
    options = ["--train-data", root / "data", "--valid-data", root / "data", "--expdir", root / "exp" / stage]
    train_tacotron2.main([str(word) for word in (*options, "--stage", stage, *SMALL, *more)])


def decode(root, output, *more):
    options = ["--data-dir", root / "data", "--codec", root / "codec", "--acoustic-model", root / "exp"]
    options += ["--from", "text", "--device", "cpu", "--tacotron2.max_seconds", "0.1"]
    options += ["--tacotron2.stop_threshold", "0.99", "--output", output]  # untrained, it would stop anywhere
    synthesize.main([str(word) for word in (*options, *more)])
    return output


@pytest.fixture(autouse=True)
def voices(monkeypatch):
    monkeypatch.setattr("soundstorm.scoring.voice_preservation.load_speaker_model", lambda name: Voice())


def test_wavenet_learns_from_predictions_that_a_batch_does_not_change(system):
    network, mel = load_feature_network(system / "exp/features")
    network.tacotron2.dec.prenet.dropout_rate = 0.0
    speakers = {"a": np.ones(2, np.float32), "b": np.zeros(2, np.float32)}
    texts = SpokenTexts(system / "data", ByteTokenizer(), mel, reduction=2, speakers=speakers)
    together = predict(network, texts, range(4))
    assert set(together) == set(SECONDS)
    for utt, frames in together.items():
        features = network.normalize(torch.from_numpy(texts.features(utt)))[None]
        with torch.no_grad():
            alone = network(
                torch.from_numpy(texts.text[utt])[None], torch.tensor([len(texts.text[utt])]), features,
                torch.tensor([features.shape[1]]), torch.from_numpy(texts.speakers[utt])[None],
            )  # fmt: skip
        np.testing.assert_allclose(frames, alone.after[0].numpy(), atol=1e-4)
    assert (system / "exp/wavenet/predicted/train/part0.safetensors").exists()


@pytest.fixture
def wavenet_in_parts(system, tmp_path, monkeypatch):
    """Trains WaveNet in an experiment of that name, on three parts; returns what was predicted, before an interrupt."""
    monkeypatch.setattr(tacotron2_training, "CPU_BATCH", 1)
    monkeypatch.setattr(FeatureParts, "seconds", 1.1)
    real, predicted = predict, []

    def run(name, *, interrupted_by=None):
        def noting(network, texts, chosen):
            if texts.ids[chosen[0]] == interrupted_by:
                raise KeyboardInterrupt
            predicted.append(texts.ids[chosen[0]])
            return real(network, texts, chosen)

        predicted.clear()
        monkeypatch.setattr(tacotron2_training, "predict", noting)
        place = ("--features", system / "exp/features", "--expdir", tmp_path / name)
        with pytest.raises(KeyboardInterrupt) if interrupted_by else nullcontext():
            train(system, "wavenet", *place)
        return predicted.copy()

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in (*folder.glob("predicted/*/part*"), folder / "model.safetensors")}


def test_predictions_go_on_after_an_interrupt_bit_for_bit(wavenet_in_parts, tmp_path):
    assert wavenet_in_parts("straight") == ["a-1", "b-1", "b-2", "a-2"] * 2  # of the training and the validation set
    assert wavenet_in_parts("cut", interrupted_by="b-1") == ["a-1"]
    assert wavenet_in_parts("cut", interrupted_by="a-2") == ["a-1", "b-1", "b-2"]
    assert wavenet_in_parts("cut") == ["a-2", *("a-1", "b-1", "b-2", "a-2")]
    straight = contents(tmp_path / "straight")
    assert len(straight) == 4 and straight == contents(tmp_path / "cut")


def test_processes_share_the_parts_and_wait_for_each_other(wavenet_in_parts, tmp_path, monkeypatch):
    """The second one makes its parts, here while the first waits for them."""
    wavenet_in_parts("alone")
    whole, real, ranks = contents(tmp_path / "alone"), tacotron2_training._predictions, []

    def as_one_of_two(*arguments):
        rank = len(ranks) % 2
        ranks.append(rank)
        state = SimpleNamespace(process_index=rank, num_processes=2, device=torch.device("cpu"))
        monkeypatch.setattr(tacotron2_training.time, "sleep", lambda _: as_one_of_two(*arguments))
        return real(*arguments[:-1], state)

    monkeypatch.setattr(tacotron2_training, "_predictions", as_one_of_two)
    assert wavenet_in_parts("two") == ["a-1", "b-1", "a-2", "b-2"] * 2  # parts 0 and 2, then 1
    assert ranks == [0, 1, 0, 1] and contents(tmp_path / "two") == whole


def test_voices_are_heard_once(system, wavenet_in_parts, monkeypatch):
    monkeypatch.setattr("soundstorm.scoring.voice_preservation.load_speaker_model", None)
    wavenet_in_parts("again")
    assert len(list((system / "exp/features/voices").glob("*/part0.safetensors"))) == 1


def test_text_becomes_speech_with_alignments(system, tmp_path, capsys):
    out = decode(system, tmp_path / "free")
    record = json.loads((out / "decode.json").read_text())
    assert record["title"] == "Tacotron 2, WaveNet from text" and record["kind"] == "tacotron2"
    made = Utterances(out, 16000)
    assert list(made.ids) == list(SECONDS) and (made.durations == 0.1).all()
    timing = json.loads((out / "timing.json").read_text())
    assert set(timing) == {"tacotron2_features", "tacotron2_wavenet"}
    assert timing["tacotron2_wavenet"]["audio_seconds"] == pytest.approx(0.4)
    griffin = decode(system, tmp_path / "griffin", "--tacotron2.vocoder", "griffin_lim")
    plain = json.loads((griffin / "decode.json").read_text())
    assert plain["title"] == "Tacotron 2, Griffin-Lim from text"
    assert plain["passes"] == 4 and record["passes"] == 4 + 1600  # two frames each; one for each sample
    alignments = json.loads((out / "alignments.json").read_text())
    assert alignments["a-1"]["stopped"] == 0.0 and len(alignments["a-1"]["attention"]) == 4
    measure_alignments.main(["--decode-dir", str(out), str(griffin), "--output", str(tmp_path / "x.json")])
    assert "Tacotron 2, WaveNet from text | free | 4" in capsys.readouterr().out
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_speech_goes_on_after_a_prompt_in_its_voice(system, tmp_path):
    out = decode(system, tmp_path / "prompted", "--prompt-seconds", "0.2", "--tacotron2.vocoder", "griffin_lim")
    made = Utterances(out, 16000)
    assert list(made.ids) == ["a-2", "b-2"]  # the others have less than a second after the prompt
    mel = MelConfig(sample_rate=16000, hop=200, window=400, num_mels=20)
    wav = read_audio(out / "wav/a-2.wav", 16000)
    true = read_audio(system / "data/wav/a-2.wav", 16000)[:3200]
    assert len(wav) == 4800
    # Griffin-Lim's phases are its own; the loudest bands of the prompt are heard.
    heard, said = (mel_features(samples, mel)[2:12].argmax(1) for samples in (wav, true))
    assert (heard == said).mean() > 0.7


def test_an_utterance_is_the_same_alone_and_in_company(system):
    reader = Tacotron2Reader.load(system / "exp", lambda name: Voice())
    config = Tacotron2SamplingConfig(max_seconds=0.05, stop_threshold=0.99)
    together = reader.speak(["red one", "a blue two"], config, seeds=[3, 4])
    alone = reader.speak(["a blue two"], config, seeds=[4])
    np.testing.assert_allclose(together[1].samples, alone[0].samples, atol=1e-4)
    again = reader.speak(["a blue two"], config, seeds=[5])
    assert not np.array_equal(again[0].samples, alone[0].samples)


def test_shorter_features_go_on_with_their_last_frame_and_change_nothing(system):
    vocoder = load_wavenet(system / "exp/wavenet")
    frames = torch.randn(1, 3, 20)
    longer = torch.cat([frames, frames[:, -1:].expand(-1, 4, -1)], dim=1)
    torch.testing.assert_close(generate(vocoder, longer, [0])[:, :600], generate(vocoder, frames, [0]))


def test_what_cannot_work_is_refused(system, tmp_path):
    with pytest.raises(InputError, match="reads text; use --from text"):
        decode(system, tmp_path / "x", "--from", "semantic")
    with pytest.raises(InputError, match="use it by synthesize --from text"):
        load_generator(system / "exp", None)
    both = "--wavenet.upsampling", "5,10"
    for wrong, words in ((both, "makes 50 samples"), (("--wavenet.crop_frames", 300), "lower wavenet.crop_frames")):
        with pytest.raises(InputError, match=words):
            train_tacotron2.main([str(word) for word in (
                "--train-data", system / "data", "--valid-data", system / "data", "--expdir", tmp_path / words,
                "--stage", "wavenet", "--features", system / "exp/features", *SMALL, *wrong,
            )])  # fmt: skip
    (tmp_path / "silent").mkdir()
    (tmp_path / "silent/wav.scp").write_text((system / "data/wav.scp").read_text())
    (tmp_path / "silent/utt2spk").write_text("".join(f"{utt} a\n" for utt in SECONDS))
    with pytest.raises(FileNotFoundError, match="learned from transcripts"):
        train_tacotron2.main([str(word) for word in (
            "--train-data", tmp_path / "silent", "--valid-data", system / "data", "--stage", "features", *SMALL,
            "--expdir", tmp_path / "f",
        )])  # fmt: skip


def test_griffin_lim_gives_the_spectra_back():
    mel, time = MelConfig(sample_rate=16000, hop=200, window=800), np.arange(16000) / 16000
    wav = (0.3 * np.sin(2 * np.pi * 440 * time) * np.hanning(16000)).astype(np.float32)
    features = mel_features(wav, mel)
    assert features.shape == (80, 80) and features.dtype == np.float32
    made = griffin_lim(features, mel)
    assert len(made) == 16000
    assert np.abs(mel_features(made, mel)[8:-8] - features[8:-8]).mean() < 0.25


@pytest.mark.parametrize(
    "wrong, words",
    [({"vocoder": "x"}, "one of wavenet, griffin_lim"), ({"attention_window": (1,)}, "two numbers"),
     ({"stop_threshold": 1.0}, "more than 0 and less than 1"), ({"max_seconds": 0}, "more than 0")],
)  # fmt: skip
def test_sampling_that_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        Tacotron2SamplingConfig(**wrong)


def test_without_codec_and_tokens_it_speaks_every_transcript(system, tmp_path):
    """The same samples, of the utterances that utt2dur names."""
    data = tmp_path / "data"
    shutil.copytree(system / "data", data, ignore=shutil.ignore_patterns("acoustic*"))
    (data / "utt2dur").write_text("".join(f"{utt} {seconds}\n" for utt, seconds in SECONDS.items()))
    options = ["--data-dir", data, "--acoustic-model", system / "exp", "--from", "text", "--device", "cpu"]
    options += ["--tacotron2.max_seconds", "0.1", "--tacotron2.stop_threshold", "0.99"]
    options += ["--tacotron2.vocoder", "griffin_lim"]

    def speak(output, *more):
        synthesize.main([str(word) for word in (*options, "--output", output, *more)])
        return {utt: Utterances(output, 16000).read(utt) for utt in Utterances(output, 16000).ids}

    alone = speak(tmp_path / "alone")
    decode(system, tmp_path / "beside", "--tacotron2.vocoder", "griffin_lim")
    beside = Utterances(tmp_path / "beside", 16000)
    assert list(alone) == list(SECONDS) == list(beside.ids)
    assert all((samples == beside.read(utt)).all() for utt, samples in alone.items())
    assert list(speak(tmp_path / "prompted", "--prompt-seconds", "0.2")) == ["a-2", "b-2"]
    (tmp_path / "keys").write_text("a-1\nz-9\n")
    with pytest.raises(InputError, match="no z-9, which .*keys names"):
        speak(tmp_path / "keys_out", "--keys", tmp_path / "keys")


def test_a_round_trip_needs_a_codec(system, tmp_path):
    options = ["--data-dir", system / "data", "--from", "codec", "--device", "cpu", "--output", tmp_path / "out"]
    with pytest.raises(InputError, match="--codec is missing: a round trip needs"):
        synthesize.main([str(word) for word in options])
