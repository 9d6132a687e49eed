"""What works on a GPU, on a pretend one and (``-m gpu``) on a real one: as on the CPU, and seldom waiting."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from soundstorm.decoding.audiolm_generator import AudioLMGenerator
from soundstorm.decoding.back_translation import Transcriber
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.masked_text_generator import MaskedTextGenerator
from soundstorm.decoding.parallel import decode
from soundstorm.models.devices import ready_for_single_steps
from soundstorm.models.semantic_to_text import SemanticToText
from soundstorm.scoring.recognizers import load_recognizer
from soundstorm.scoring.voice_preservation import XVector
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.tokens.features import open_features
from soundstorm.tokens.kmeans import KMeans
from soundstorm.training import trainer
from soundstorm.training.tacotron2_training import predict
from soundstorm.training.training_config import TrainerConfig
from tests.decoding import test_audiolm as audiolm
from tests.decoding import test_autoregressive as reading
from tests.decoding import test_masked_text as parallel_reading
from tests.decoding.test_back_translation import TINY as WRITER
from tests.decoding.test_parallel import small_model
from tests.models import test_hub as hub
from tests.pretend_accelerator import NAME, pretending
from tests.scoring.conftest import whisper_dir  # noqa: F401
from tests.text_to_semantic_toy import INFO
from tests.tokens.conftest import make_hubert, make_recognizer
from tests.tokens.test_acoustic import PRETRAINED, write_experiment
from tests.tokens.test_kmeans import INFO as KMEANS
from tests.training.models import MODELS, tacotron2_features, write_data
from tests.training.test_every_step import read_metrics

WAVS = [np.random.default_rng(seed).normal(0, 0.1, 16000 + 640 * seed).astype(np.float32) for seed in (0, 1)]
# Most waits of a training step and of one pass of decoding, as they are today: to be lowered, not raised.
STEP_WAITS = {
    "soundstorm": 4, "mask_diffusion": 4, "text_to_semantic": 7, "masked_text": 10, "denoising": 7,
    "codec": 20, "hubert": 15,  # the codec's: 8, and 2 for each level and step with codes that nothing uses
    "consistency": 3, "recognizer": 3, "detector": 1, "semantic_to_text": 3, "audiolm_semantic": 4,
    "audiolm_coarse": 4, "audiolm_fine": 7,
}  # fmt: skip
PASS_WAITS = 0
# What torch reads of tensors in C++, past what Python says of them: sizes that transformers keeps in tensors,
# lists as indices, sizes of packed sequences.
BEYOND_PRETENCE = ("encodec", "mimi", "whisper", "tacotron2")


def skip_beyond_pretence(kind, device):
    if device == NAME and kind in BEYOND_PRETENCE:
        pytest.skip(f"{kind} has torch read tensors past Python: on a real accelerator only")


def accelerator_on(device, lower_precision=False):
    """Accelerate's class for a device, which it does not choose, or know, itself."""

    class There(Accelerator):
        def autocast(self, *_, **__):
            return torch.autocast(device, torch.bfloat16) if lower_precision else nullcontext()

    There.device = property(lambda self: torch.device(device))
    return There


@pytest.fixture
def waits():
    with pretending() as counter:
        yield counter


@pytest.fixture(params=[NAME, pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request, waits):
    """Where to work; what a real one waits for, nobody counts."""
    return request.param


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def train(name, data, expdir, waits):
    """Three steps, validation, a checkpoint and the export; the waits of the second step."""
    torch.manual_seed(0)
    expdir.mkdir()
    step, dataset = MODELS[name](data, dropout=0.0)
    loss, before = step.loss, []

    def counting(phase, networks, batch):
        if phase == step.phases[0] and networks["model"].training:
            before.append(waits.copy())
        return loss(phase, networks, batch)

    step.loss = counting
    settings = {"max_steps": 3, "batch_size": 4, "warmup_steps": 0, "ema_decay": 0.9, "log_every": 3}
    trainer.train(step, dataset, dataset, TrainerConfig(**settings, valid_every=3, save_every=3), expdir)
    return before[2] - before[1]


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.integration)])
@pytest.mark.parametrize("name", MODELS)
def test_every_step_trains_there_as_on_the_cpu(name, precision, data, tmp_path, device, waits, monkeypatch):
    monkeypatch.setattr(trainer, "Accelerator", accelerator_on(device, precision == "bf16"))
    waited = train(name, data, tmp_path / "there", waits)
    assert waited.total() <= STEP_WAITS[name], waited
    there = read_metrics(tmp_path / "there")
    assert all(np.isfinite(value) for line in there for key, value in line.items() if key != "set")
    if precision == "fp32":
        monkeypatch.setattr(trainer, "Accelerator", accelerator_on("cpu"))
        train(name, data, tmp_path / "cpu", waits)
        for line, here in zip(there, read_metrics(tmp_path / "cpu"), strict=True):
            assert line.pop("set") == here.pop("set")
            assert line == pytest.approx(here, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("prompts", [None, [3, 5]])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_parallel_decoding_gives_there_what_it_gives_on_the_cpu(precision, prompts, device, waits):
    model, lengths = small_model(), [20, 14]
    semantic = torch.randint(0, 7, (2, 20), generator=torch.Generator().manual_seed(1))
    extra = {}
    if prompts:
        extra = {"prompt": torch.ones(2, 5, 3, dtype=torch.long), "prompt_lengths": torch.tensor(prompts)}
    config, seen = ParallelConfig(iterations=(6, 3, 1), precision=precision), []

    def run(place):
        def watch(*_):
            seen.append(waits.copy())

        there = model.to(place), semantic.to(place), torch.tensor(lengths)
        return decode(*there, config, watch=watch, **extra).cpu()

    there = run(device)
    within_levels = [seen[i + 1] - seen[i] for i in (*range(5), *range(6, 8))]
    assert max(part.total() for part in within_levels) <= PASS_WAITS, within_levels
    if precision == "no":
        assert torch.equal(there, run("cpu"))


def test_audiolm_gives_there_what_it_gives_on_the_cpu(device):
    stages = audiolm.make("coarse", 0.6), audiolm.make("fine", 0.4)
    semantic = [audiolm.speech(30, seed)[0] for seed in range(2)]

    def run(place):
        for stage in stages:
            stage.model = ready_for_single_steps(stage.model, place)
        return AudioLMGenerator(*stages).acoustic_tokens(semantic, audiolm.SAMPLING, seeds=[0, 1])

    there = run(device)
    assert all(np.array_equal(one, two) for one, two in zip(there, run("cpu"), strict=True))


@pytest.mark.parametrize("pointer", [pytest.param(False, marks=pytest.mark.integration), True])
def test_texts_are_read_there_as_on_the_cpu(pointer, device):
    reader = reading.make(pointer)

    def run(place):
        ready_for_single_steps(reader.model, place)
        return reading.read(reader, seeds=[0, 1, 2])

    there = run(device)
    assert all(np.array_equal(one, two) for one, two in zip(there, run("cpu"), strict=True))


def test_texts_are_read_in_parallel_there_as_on_the_cpu(device):
    reader, prompts = parallel_reading.make(), parallel_reading.prompts_of(25, 0, 40)
    sampling = replace(parallel_reading.SAMPLING, duration_temperature=1.0)

    def run(place):
        there = MaskedTextGenerator(reader.model.to(place), reader.tokenizer, reader.info)
        return there.semantic_tokens(parallel_reading.TEXTS, sampling, seeds=[0, 1, 2], prompts=prompts)

    there = run(device)
    assert all(np.array_equal(one, two) for one, two in zip(there, run("cpu"), strict=True))


def test_spectra_are_predicted_there_as_on_the_cpu(data, device):
    pytest.importorskip("espnet2", reason="ESPnet is not installed")
    skip_beyond_pretence("tacotron2", device)
    step, texts = tacotron2_features(data, dropout=0.0)
    network = step.networks["model"].eval()
    there, here = (predict(network.to(place), texts, range(8)) for place in (device, "cpu"))
    for utt, frames in here.items():
        np.testing.assert_allclose(there[utt], frames, atol=1e-4)


def test_tokens_are_written_down_there_as_on_the_cpu(device):
    torch.manual_seed(0)
    model = SemanticToText(WRITER, num_tokens=INFO.codebook_size, text_vocab_size=384)
    tokens = np.arange(20) % INFO.codebook_size
    there = Transcriber(model.to(device), INFO).transcribe(tokens, temperature=0)
    assert there == Transcriber(model.to("cpu"), INFO).transcribe(tokens, temperature=0)


FEATURES = {
    "hubert": lambda folder: make_hubert(folder),
    "hubert-group": lambda folder: make_hubert(folder, conv_norm="group"),
    "recognizer:": make_recognizer,
    "w2v-bert:": hub.make_w2v_bert,
    "whisper:": hub.make_whisper_recognizer,
}


@pytest.mark.parametrize("kind", FEATURES)
def test_features_are_there_what_they_are_on_the_cpu(kind, tmp_path, device):
    FEATURES[kind](tmp_path / "model")
    source = f"{kind if kind.endswith(':') else ''}{tmp_path / 'model'}"
    there, here = (open_features(source, 1, device=place).extract(WAVS) for place in (device, "cpu"))
    for one, two in zip(there, here, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.parametrize("normalization", ["none", "global", "utterance"])
def test_frames_fall_there_into_the_clusters_that_they_do_on_the_cpu(normalization, device):
    rng = np.random.default_rng(0)
    centroids, shift = rng.standard_normal((2000, 96)), rng.standard_normal(96)
    arrays = (array.astype(np.float32) for array in (centroids, shift, 1 + rng.random(96)))
    kmeans = KMeans(replace(KMEANS, num_clusters=2000, normalization=normalization), *arrays)
    features = rng.standard_normal((1500, 96)).astype(np.float32)
    there, here = kmeans.assign_on(device)(features), kmeans.assign_on("cpu")(features)
    assert there.dtype == here.dtype == np.int64 and len(set(here)) > 100
    np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("kind", ["ours", *PRETRAINED])
def test_codecs_give_there_what_they_give_on_the_cpu(kind, tmp_path, device):
    skip_beyond_pretence(kind, device)
    if kind == "ours":
        spec = write_experiment(tmp_path / "codec")
    else:
        torch.manual_seed(0)
        hub.make_codec(kind)(tmp_path)
        spec = f"{kind}:{tmp_path}@2"
    wav, results = torch.from_numpy(WAVS[0])[None], []
    for place in (device, "cpu"):
        codec = load_acoustic_tokenizer(spec, place)
        codes = codec.encode(wav)
        assert codes.device.type == place
        results.append((codes.cpu(), codec.decode(codes.cpu()).cpu()))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_recognisers_read_there_what_they_read_on_the_cpu(kind, whisper_dir, tmp_path, device):  # noqa: F811
    skip_beyond_pretence(kind, device)
    hub.make_ctc(tmp_path / "ctc")
    folder = whisper_dir if kind == "whisper" else str(tmp_path / "ctc")
    there, here = (load_recognizer(folder, device=place)(WAVS) for place in (device, "cpu"))
    assert there == here


def test_speakers_sound_there_as_on_the_cpu(tmp_path, device):
    hub.make_x_vector(tmp_path / "model")
    there, here = (XVector(str(tmp_path / "model"), place)(WAVS[0]) for place in (device, "cpu"))
    np.testing.assert_allclose(there, here, atol=1e-4)


# -- the pretence --------------------------------------------------------------------------------------------


def test_tensors_of_the_cpu_are_refused_beside_those_of_the_device(waits):
    x = torch.arange(3.0, device=NAME)
    assert (x + torch.tensor(1.0)).tolist() == [1.0, 2.0, 3.0]
    assert x[torch.tensor([2, 0])].tolist() == [2.0, 0.0]
    one = torch.ones(3)
    for mistake in (lambda: x + one, lambda: one * x, lambda: torch.cat([x, one])):
        with pytest.raises(RuntimeError, match="these are on the CPU"):
            mistake()
    with pytest.raises(RuntimeError, match="these are on the CPU"):
        torch.rand(3, device=NAME, generator=torch.Generator())


def test_waits_are_counted(waits):
    x = torch.zeros(3).to(NAME)
    assert waits == {"to the device": 1}
    (x + 1).cumsum(0)
    assert waits.total() == 1
    x.sum().item(), x.cpu(), x[x > 0], x.nonzero(), torch.ones(3).to(NAME, non_blocking=True)
    assert waits == {
        "to the device": 1, "_local_scalar_dense": 1, "to the host": 1, "boolean index": 1, "nonzero": 1
    }  # fmt: skip
