import dataclasses
import json

import numpy as np
import pytest
import torch

from soundstorm.data.audio import write_audio
from soundstorm.data.datasets.dataset_configs import CodecDataConfig
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.codec_config import CodecLossConfig
from soundstorm.models.codec.discriminators import build_discriminators
from soundstorm.models.codec.hifi_config import HifiConfig
from soundstorm.models.codec.istft_config import IstftConfig
from soundstorm.models.codec.soundstream_config import SoundStreamConfig
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.training.codec_step import CodebookHealth, CodecStep
from soundstorm.training.codec_training import train_codec
from soundstorm.training.training_config import TrainerConfig
from soundstorm.training.training_run import TrainingRun

torch.set_num_threads(1)
MODEL = IstftConfig(
    num_levels=4,
    codebook_size=8,
    hop=80,
    n_fft=320,
    width=16,
    expansion=2,
    encoder_blocks=1,
    decoder_blocks=1,
)
SOUNDSTREAM = SoundStreamConfig(num_levels=4, codebook_size=8, channels=2, latent_dim=8, strides=(2, 4, 5))
HIFI = HifiConfig(
    num_levels=4, codebook_size=8, groups=2, encoder_channels=4, decoder_channels=16, strides=(2, 4, 5), kernels=(3, 5)
)
LOSS = CodecLossConfig(
    wave_discriminators=1, wave_channels=4, wave_max_channels=8, stft_channels=2, stft_window=256, stft_hop=64,
    mel_windows=(64, 256), health_every=2,
)  # fmt: skip


def make(model=MODEL, **settings) -> CodecStep:
    torch.manual_seed(0)
    loss = dataclasses.replace(LOSS, **settings)
    discriminators = build_discriminators(loss) if loss.adversarial else None
    return CodecStep(
        build_codec(model), discriminators, loss, sample_rate=16000, quantizer_dropout=model.quantizer_dropout
    )


def batch(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "wav": 0.1 * torch.randn(3, 1600, generator=generator),
        "length": torch.tensor([1600, 1600, 900]),
        "chance": torch.rand(3, generator=generator, dtype=torch.float64),
    }


def run_phase(step: CodecStep, phase: str, inputs: dict):
    for name, network in step.networks.items():
        network.requires_grad_(name == phase)
    loss = step.loss(phase, step.networks, inputs)
    loss.total.backward()
    return loss


def has_gradient(network) -> bool:
    return any(p.grad is not None and bool((p.grad != 0).any()) for p in network.parameters())


@pytest.mark.parametrize("model", [MODEL, SOUNDSTREAM, HIFI], ids=lambda model: model.family)
def test_each_phase_gives_gradients_to_its_network_only(model):
    step = make(model)
    run_phase(step, "model", batch())
    assert has_gradient(step.networks["model"]) and not has_gradient(step.networks["discriminator"])
    step.networks["model"].zero_grad()
    run_phase(step, "discriminator", batch())
    assert has_gradient(step.networks["discriminator"]) and not has_gradient(step.networks["model"])


# The decoder has no part in the distance of latents to codes.
PATHS = {"reconstruction": ("encoder", "decoder"), "commitment": ("encoder",), "adversarial": ("encoder", "decoder"),
         "feature": ("encoder", "decoder")}  # fmt: skip


@pytest.mark.parametrize("model", [MODEL, SOUNDSTREAM, HIFI], ids=lambda model: model.family)
@pytest.mark.parametrize("part", PATHS)
def test_every_part_of_the_loss_reaches_every_weight_it_is_for(part, model):
    weights = {f"{name}_weight": float(name == part) for name in PATHS}
    step = make(dataclasses.replace(model, quantizer_dropout=0.0), **weights)
    run_phase(step, "model", batch())
    codec = step.networks["model"]
    for name, weight in codec.named_parameters():
        reached = weight.grad is not None and bool((weight.grad != 0).any())
        assert reached == (name.split(".")[0] in PATHS[part]), name


@pytest.mark.parametrize("model", [MODEL, SOUNDSTREAM, HIFI], ids=lambda model: model.family)
def test_every_weight_of_the_discriminators_learns(model):
    step = make(model)
    run_phase(step, "model", batch())
    run_phase(step, "discriminator", batch())
    for name, weight in step.networks["discriminator"].named_parameters():
        assert weight.grad is not None and bool((weight.grad != 0).any()), name


@pytest.mark.parametrize("part", PATHS)
def test_every_part_of_the_loss_passes_the_projections_of_narrow_codes(part):
    weights = {f"{name}_weight": float(name == part) for name in PATHS}
    step = make(dataclasses.replace(MODEL, quantizer_dropout=0.0, code_dim=4), **weights)
    run_phase(step, "model", batch())
    quantizer = step.networks["model"].quantizer
    assert has_gradient(quantizer.project_in)
    assert has_gradient(quantizer.project_out) == ("decoder" in PATHS[part])


def test_total_is_the_weighted_sum_of_the_parts_times_the_number_of_examples():
    step = make(reconstruction_weight=2.0, commitment_weight=3.0, adversarial_weight=5.0, feature_weight=7.0)
    loss = run_phase(step, "model", batch())
    value = {name: float(total) / count for name, (total, count) in loss.metrics.items()}
    wanted = 2 * value["mel"] + 3 * value["commitment"] + 5 * value["adversarial"] + 7 * value["feature"]
    assert loss.total.item() == pytest.approx(3 * wanted, rel=1e-5) and loss.weight == 3


def hificodecs_feature_loss(discriminators, wav, decoded) -> float:
    """Twice the L1 of what every convolution of periods and rates gives, the last one included, and of all but the last
    of spectra, summed.
    """
    found = []
    with torch.no_grad():  # in the order of the step, as the spectral norm moves with every call
        fake, real = discriminators(decoded), discriminators(wav)
    for number, (real_layers, fake_layers) in enumerate(zip(real, fake, strict=True)):
        for place, (one, other) in enumerate(zip(real_layers, fake_layers, strict=True), start=1):
            if number < 8 or place < len(real_layers):
                found.append(float((one - other).abs().mean()))
    assert len(found) == 5 * 6 + 3 * 8 + 5 * 5
    return 2 * sum(found)


def test_hificodecs_losses_are_sums_over_its_discriminators():
    pytest.importorskip("espnet2.gan_codec", reason="needs espnet")
    sizes = {"wave_discriminators": 3, "wave_channels": 4, "wave_max_channels": 16, "stft_channels": 2}
    weights = {"reconstruction_weight": 45.0, "commitment_weight": 2.5, "feature_weight": 1.0}
    settings = {"discriminators": "hifi", "mel_style": "hifi", "mel_windows": (256, 128), **sizes, **weights}
    step, twin = make(HIFI, **settings), make(HIFI, **settings).networks["discriminator"]
    loss = run_phase(step, "model", batch())
    value = {name: float(total) / count for name, (total, count) in loss.metrics.items()}
    wanted = 45 * value["mel"] + 2.5 * value["commitment"] + value["adversarial"] + value["feature"]
    assert loss.total.item() == pytest.approx(3 * wanted, rel=1e-5)
    by_hand = hificodecs_feature_loss(twin, batch()["wav"], step._output.wav)
    assert value["feature"] == pytest.approx(by_hand, rel=1e-5)
    judged = run_phase(step, "discriminator", batch())
    (total, count), = judged.metrics.values()
    # 13 discriminators that know nothing yet: each loses about 1 for the real ones, and nothing for the others
    assert set(judged.metrics) == {"least_squares"} and 6.5 < float(total) / count < 19.5


def test_dropout_of_groups_draws_stages():
    step = make(dataclasses.replace(HIFI, quantizer_dropout=1.0))
    levels = step.draw_levels((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    assert torch.bincount(levels).tolist() == [0, 2000, 2000]


def test_discriminators_are_silent_before_their_first_step():
    step = make(discriminator_start=1)
    first = run_phase(step, "model", batch())
    idle = run_phase(step, "discriminator", batch())
    assert set(first.metrics) == {"mel", "commitment"} and idle.total.item() == 0
    assert not has_gradient(step.networks["discriminator"])
    second = run_phase(step, "model", batch(1))
    assert set(second.metrics) == {"mel", "commitment", "adversarial", "feature"}
    assert run_phase(step, "discriminator", batch(1)).total.item() > 0


def test_without_discriminators_there_is_one_phase():
    step = make(wave_discriminators=0, stft_discriminator=False)
    assert step.phases == ("model",) and set(step.networks) == {"model"}


def test_dropout_draws_every_number_of_levels_equally_often():
    step = make(dataclasses.replace(MODEL, quantizer_dropout=1.0))
    levels = step.draw_levels((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    assert torch.bincount(levels, minlength=5).tolist() == [0, 1000, 1000, 1000, 1000]


def test_a_share_of_dropout_leaves_the_others_whole():
    step = make(dataclasses.replace(MODEL, quantizer_dropout=0.5))
    levels = step.draw_levels((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    assert torch.bincount(levels, minlength=5).tolist() == [0, 500, 500, 500, 2500]
    never = make(dataclasses.replace(MODEL, quantizer_dropout=0.0)).draw_levels(
        torch.zeros(3, dtype=torch.float64)
    )
    assert never.tolist() == [4, 4, 4]


def test_validation_uses_all_levels_and_no_discriminator():
    step = make()
    step.networks["model"](batch()["wav"])
    for network in step.networks.values():
        network.eval()
    assert set(step.validate(step.networks, batch()).metrics) == {"mel", "commitment"}


def test_health_reports_usage_and_perplexity_of_a_window():
    health = CodebookHealth(every=2, grace=0, min_usage=0.1)
    counts = torch.tensor([[4.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert health.update(1, counts) is None
    figures = health.update(2, counts)
    assert figures == pytest.approx(
        {"usage/level_1": 0.25, "usage/level_2": 1.0, "perplexity/level_1": 1.0, "perplexity/level_2": 4.0}
    )
    assert health.update(3, counts) is None  # a new window


def test_a_window_goes_on_where_a_run_was_interrupted():
    counts = torch.tensor([[3.0, 1.0], [0.0, 4.0]])
    straight, first, second = (make(health_every=3) for _ in range(3))
    for step in (straight, first):
        step.health.update(1, counts)
        step.health.update(2, counts.flip(1))
    second.load_state(first.state())
    assert second.health.update(3, counts) == straight.health.update(3, counts) is not None
    assert straight.state() == {}  # nothing open, nothing to carry


def test_a_dip_of_usage_is_warned_of_and_stops_the_run_when_it_lasts(caplog):
    dip, full = torch.tensor([[1.0, 1.0, 1.0, 1.0], [4.0, 0.0, 0.0, 0.0]]), torch.ones(2, 4)
    step = make(health_every=1, health_grace=10, min_usage=0.5)
    step.health.update(10, dip)
    assert not caplog.records  # in the grace period
    for number, counts in enumerate([dip, dip, full, dip, dip], start=11):
        assert step.health.update(number, counts) is not None
    assert [r.getMessage().split(" in")[0] for r in caplog.records] == ["level 2 used 25% of its 4 codes"] * 4
    resumed = make(health_every=1, health_grace=10, min_usage=0.5)
    resumed.load_state(step.state())
    with pytest.raises(RuntimeError, match="level 2 used 25% of its 4 codes in the 1 steps before step 16"):
        resumed.health.update(16, dip)


@pytest.fixture
def data_dir(tmp_path):
    generator = np.random.default_rng(0)
    lines = []
    for number in range(6):
        time = np.arange(4000) / 16000
        wav = 0.3 * np.sin(
            2 * np.pi * generator.uniform(100, 2000) * time
        ) + 0.01 * generator.standard_normal(4000)
        write_audio(tmp_path / "wav" / f"u{number}.wav", wav, 16000)
        lines.append(f"u{number} {tmp_path / 'wav'}/u{number}.wav\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "wav.scp").write_text("".join(lines))
    return tmp_path / "data"


def test_training_lowers_the_loss_and_leaves_a_tokenizer(data_dir, tmp_path):
    expdir = tmp_path / "codec"
    config = {
        "model": MODEL,
        "loss": dataclasses.replace(LOSS, mel_style="log", discriminator_start=30, feature_weight=1.0, min_usage=0.0),
        "data": CodecDataConfig(crop_seconds=0.2),
        "training": TrainerConfig(max_steps=40, batch_size=3, learning_rate=3e-3, log_every=10, valid_every=20,
                                  save_every=20, warmup_steps=5),
    }  # fmt: skip
    train_codec(TrainingRun(data_dir, data_dir, expdir, config, ["train_codec"]))
    lines = [json.loads(line) for line in (expdir / "metrics.jsonl").read_text().splitlines()]
    valid = [line["mel"] for line in lines if line["set"] == "valid"]
    assert valid[-1] < valid[0]
    assert "usage/level_4" in lines[0] and "discriminator/hinge" in lines[-2]
    tokenizer = load_acoustic_tokenizer(str(expdir))
    assert tokenizer.encode(torch.zeros(1, 1600)).shape == (1, 20, 4)
