import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from soundstorm.bin import check_codec
from soundstorm.data.archive import TokenArchive, TokenizerInfo
from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_table
from soundstorm.models.codec.codec import build_codec
from soundstorm.models.codec.soundstream_config import SoundStreamConfig
from soundstorm.tokens import ready_codecs
from soundstorm.tokens.acoustic import (
    CodecTokenizer,
    extract_acoustic_tokens,
    load_acoustic_tokenizer,
    load_codebooks,
)

torch.set_num_threads(1)
MODEL = {
    "family": "soundstream", "num_levels": 3, "codebook_size": 8, "channels": 2, "latent_dim": 8, "strides": [2, 4, 5],
}  # fmt: skip


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def write_experiment(folder, seed: int = 0, **changes):
    torch.manual_seed(seed)
    settings = MODEL | changes
    codec = build_codec(SoundStreamConfig(**(settings | {"strides": (2, 4, 5)})))
    codec(noise(2, 800))
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": settings, "training": {"seed": 0}}))
    save_file(codec.state_dict(), folder / "model.safetensors")
    return str(folder)


@pytest.fixture
def expdir(tmp_path):
    return write_experiment(tmp_path / "codec")


def test_a_codec_says_its_groups(expdir, tmp_path):
    grouped = load_acoustic_tokenizer(write_experiment(tmp_path / "grouped", num_levels=4, groups=2))
    assert (grouped.info.num_levels, grouped.info.groups, grouped.info.num_stages) == (4, 2, 2)
    codes = grouped.encode(noise(1, 400))
    assert codes.shape == (1, 10, 4) and grouped.decode(codes).shape == (1, 400)
    assert load_codebooks(str(tmp_path / "grouped")).shape == (4, 8, 8)
    plain = load_acoustic_tokenizer(expdir).info  # its config.yaml says nothing of groups, as older ones do
    assert plain.groups == 1 and plain.num_stages == 3
    older = {name: value for name, value in asdict(plain).items() if name != "groups"}
    assert TokenizerInfo.from_dict(older, "acoustic.json") == plain
    with pytest.raises(ValueError, match="acoustic.json: groups is 2, expected a divisor of num_levels, 3"):
        TokenizerInfo.from_dict(older | {"groups": 2}, "acoustic.json")


def tiny_encodec(folder):
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        num_filters=2, hidden_size=8, codebook_dim=8, codebook_size=16, upsampling_ratios=[5, 4, 2],
        target_bandwidths=[1.5, 6.0], num_lstm_layers=1, sampling_rate=16000, num_residual_layers=1,
    )  # fmt: skip
    return EncodecModel, config, 40


def tiny_dac(folder):
    from transformers import DacConfig, DacModel

    config = DacConfig(
        encoder_hidden_size=4, downsampling_ratios=[2, 4, 5], upsampling_ratios=[5, 4, 2], decoder_hidden_size=16,
        n_codebooks=4, codebook_size=16, codebook_dim=4, sampling_rate=16000,
    )  # fmt: skip
    return DacModel, config, 40


def tiny_mimi(folder):
    from transformers import MimiConfig, MimiModel

    config = MimiConfig(
        sampling_rate=16000, frame_rate=200.0, num_filters=2, hidden_size=8, upsampling_ratios=[5, 4, 2],
        codebook_size=16, codebook_dim=4, vector_quantization_hidden_dimension=4, num_quantizers=4,
        num_semantic_quantizers=1, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=4,
        intermediate_size=16, upsample_groups=8, num_residual_layers=1,
    )  # fmt: skip
    return MimiModel, config, 80


PRETRAINED = {"encodec": tiny_encodec, "dac": tiny_dac, "mimi": tiny_mimi}


@pytest.fixture(scope="module", params=list(PRETRAINED))
def pretrained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model, config, hop = PRETRAINED[request.param](folder)
    torch.manual_seed(0)
    model(config).save_pretrained(folder)
    return request.param, str(folder), hop


def test_a_ready_codec_is_looked_at_before_tokens_are_made(pretrained, caplog):
    caplog.set_level("INFO")
    kind, folder, hop = pretrained
    check_codec.main(["--codec", f"{kind}:{folder}", "--features", "mfcc"])  # of 50 frames/s
    assert f"{16000 // hop} frames/s of" in caplog.text
    assert f"1 semantic tokens (50/s) to {320 // hop} frames" in caplog.text
    with pytest.raises(ValueError, match="expected 1 to"):
        check_codec.main(["--codec", f"{kind}:{folder}@99", "--features", "mfcc"])


def test_recordings_of_another_rate_than_the_codec_are_found_before_tokens_are_made(tmp_path):
    model, config, _ = tiny_dac(tmp_path)
    model(config).save_pretrained(tmp_path / "dac")
    words = ["--codec", f"dac:{tmp_path}/dac", "--features", "mfcc", "--data-dir", str(tmp_path / "x"), str(tmp_path)]
    table, rates = tmp_path / "utt2rate", {f"u-{number:02}": "16000" for number in range(20)}
    write_table(table, rates | {"u-03": "44100"})  # a twentieth is left out
    check_codec.main(words)
    write_table(table, rates | {"u-03": "44100", "u-07": "44100"})
    message = f"{table}: u-03: sample rate is 44100 Hz but 16000 Hz is needed; .* flac --sample-rate 16000"
    with pytest.raises(ValueError, match=message):
        check_codec.main(words)


def test_recordings_of_another_rate_than_the_codec_to_be_trained_are_found_before_all_trainings(tmp_path):
    (tmp_path / "codec.yaml").write_text("model:\n  family: istft\n  sample_rate: 16000\n")
    words = ["--config", str(tmp_path / "codec.yaml"), "--data-dir", str(tmp_path)]
    write_table(tmp_path / "utt2rate", {"u": "24000"})
    message = "utt2rate: u: sample rate is 24000 Hz but 16000 Hz is needed; .* or train a codec of theirs: set model"
    with pytest.raises(ValueError, match=message):
        check_codec.main(words)
    check_codec.main([*words, "--model.sample-rate", "24000"])
    with pytest.raises(ValueError, match="--codec and --features go together"):
        check_codec.main([*words, "--features", "mfcc"])


def test_a_codec_of_fewer_frames_than_tokens_gets_a_warning(tmp_path, caplog):
    caplog.set_level("INFO")
    model, config, _ = tiny_dac(tmp_path)
    config.sampling_rate = 500  # 12.5 frames/s
    model(config).save_pretrained(tmp_path)
    check_codec.main(["--codec", f"dac:{tmp_path}", "--features", "mfcc"])
    assert "4 semantic tokens (50/s) to 1 frames" in caplog.text and "only 0.25 of the semantic tok" in caplog.text


def test_an_experiment_directory_says_all_about_its_tokens(expdir):
    tokenizer = load_acoustic_tokenizer(expdir)
    info = tokenizer.info
    assert (info.kind, info.num_levels, info.codebook_size) == ("acoustic", 3, 8)
    assert (info.sample_rate, info.frame_rate, tokenizer.hop) == (16000, 400.0, 40)
    assert tokenizer.encode(noise(1, 400)).dtype == torch.int64
    assert len(info.fingerprint) == 64


def test_the_fingerprint_follows_the_weights(expdir, tmp_path):
    again = load_acoustic_tokenizer(expdir).info.fingerprint
    other = load_acoustic_tokenizer(write_experiment(tmp_path / "other", seed=1)).info.fingerprint
    assert load_acoustic_tokenizer(expdir).info.fingerprint == again != other


def test_pretrained_codecs_have_the_same_interface(pretrained):
    family, folder, hop = pretrained
    tokenizer = load_acoustic_tokenizer(f"{family}:{folder}@2")
    assert (tokenizer.info.num_levels, tokenizer.info.codebook_size, tokenizer.hop) == (2, 16, hop)
    assert tokenizer.info.frame_rate == 16000 / hop
    wav = noise(2, 3200)
    codes = tokenizer.encode(wav)
    assert codes.dtype == torch.int64 and codes.shape[0] == 2 and codes.shape[2] == 2
    assert abs(codes.shape[1] - 3200 // hop) <= 1 and 0 <= codes.min() and codes.max() < 16
    assert torch.equal(codes[1], tokenizer.encode(wav[1:])[0])
    decoded = tokenizer.decode(codes)
    assert decoded.shape[0] == 2 and abs(decoded.shape[1] - 3200) <= 2 * hop
    torch.testing.assert_close(decoded[1], tokenizer.decode(codes[1:])[0])


def test_no_codec_rounds_its_convolutions_on_a_gpu(pretrained, expdir):
    family, folder, _ = pretrained
    seen = []
    for spec in (f"{family}:{folder}", expdir):
        tokenizer = load_acoustic_tokenizer(spec)
        network = tokenizer.codec if spec == expdir else tokenizer.network
        convolution = next(module for module in network.modules() if isinstance(module, torch.nn.Conv1d))
        convolution.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
        tokenizer.encode(noise(1, 1600))
    assert seen == [False, False]


def test_fewer_levels_of_a_pretrained_codec_are_the_coarse_ones_and_another_tokenizer(pretrained):
    family, folder, _ = pretrained
    two, three = load_acoustic_tokenizer(f"{family}:{folder}@2"), load_acoustic_tokenizer(f"{family}:{folder}@3")
    wav = noise(1, 1600)
    assert torch.equal(two.encode(wav), three.encode(wav)[..., :2])
    assert two.info.fingerprint != three.info.fingerprint


def test_a_bit_rate_chooses_the_levels(tmp_path):
    model, config, _ = tiny_dac(tmp_path)
    model(config).save_pretrained(tmp_path)
    # 400 frames/s of 4 bits are 1.6 kbit/s a level
    assert load_acoustic_tokenizer(f"dac:{tmp_path}@4.8kbps").info.num_levels == 3
    with pytest.raises(ValueError, match="expected 1 to 4 levels, or 1.6 to 6.4 kbps, after the @"):
        load_acoustic_tokenizer(f"dac:{tmp_path}@5")


def test_a_ready_codec_is_a_class_and_a_line(tmp_path, monkeypatch):
    class Louder(ready_codecs.Dac):
        def decode_one(self, codes):
            return 2 * super().decode_one(codes)

    monkeypatch.setitem(ready_codecs.READY_CODECS, "louder", Louder)
    model, config, _ = tiny_dac(tmp_path)
    model(config).save_pretrained(tmp_path)
    louder, dac = (load_acoustic_tokenizer(f"{kind}:{tmp_path}@2") for kind in ("louder", "dac"))
    codes = louder.encode(noise(1, 1600))
    assert torch.equal(louder.decode(codes), 2 * dac.decode(codes))
    assert louder.info.name == f"louder:{tmp_path}@2" and louder.info.fingerprint != dac.info.fingerprint
    with pytest.raises(ValueError, match="or encodec:<name>, dac:<name>, mimi:<name>, louder:<name>"):
        load_acoustic_tokenizer("opus:whatever")


def test_what_is_no_codec_is_refused_with_what_would_be(tmp_path, expdir):
    with pytest.raises(ValueError, match="unknown codec; expected an experiment directory, or encodec:<name>"):
        load_acoustic_tokenizer("opus:whatever")
    with pytest.raises(FileNotFoundError, match="config.yaml: no such file"):
        load_acoustic_tokenizer(str(tmp_path / "nothing"))
    (tmp_path / "codec" / "config.yaml").write_text("model: {width: 8}\n")
    with pytest.raises(ValueError, match="section model is not that of a codec"):
        load_acoustic_tokenizer(expdir)


def test_weights_that_are_pickled_are_not_read(pretrained, tmp_path):
    family, folder, _ = pretrained
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        load_acoustic_tokenizer(f"{family}:{pickled}")


def test_a_directory_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no codec of type encodec could .*config.json is missing"):
        load_acoustic_tokenizer(f"encodec:{tmp_path}")


def test_a_codec_of_another_kind_or_without_all_its_weights_makes_no_tokens(pretrained, tmp_path):
    """transformers would draw what is missing at random, with a warning."""
    kind, folder, _ = pretrained
    for other in PRETRAINED.keys() - {kind}:
        with pytest.raises(ValueError, match=f"is '{kind}', expected {other}; give .*, if that is one of"):
            load_acoustic_tokenizer(f"{other}:{folder}")
    shutil.copytree(folder, tmp_path / "damaged")
    weights = load_file(f"{folder}/model.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point())
    for damage, message in (
        ({name: torch.full_like(weights[name], torch.nan)}, "some weights are NaN or infinite; train or download"),
        ({name: None}, "the weights do not fit config.json, 1 are missing .*; train or download"),
    ):
        left = {key: value for key, value in (weights | damage).items() if value is not None}
        save_file(left, tmp_path / "damaged/model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=message):
            load_acoustic_tokenizer(f"{kind}:{tmp_path}/damaged")


def test_extraction_writes_the_chosen_utterances_and_leaves_broken_ones_out(
    expdir, tmp_path, caplog, monkeypatch
):
    encode = CodecTokenizer.encode

    def refuse(samples, codes):
        if samples == 4010:
            raise RuntimeError("kernel larger than input")
        return codes

    for name, samples in (("a", 4000), ("b", 4010)):
        write_audio(tmp_path / f"{name}.wav", noise(samples).numpy(), 16000)
    (tmp_path / "c.wav").write_text("no audio")
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text("".join(f"{name} {tmp_path / name}.wav\n" for name in "abc"))
    (data / "utt2dur").write_text("a 0.25\nb 0.25\nc 0.25\n")
    (tmp_path / "keys").write_text("b speaker\nc speaker\n")
    assert extract_acoustic_tokens(data, tmp_path / "keys", expdir, tmp_path / "part.1") == 1
    archive = TokenArchive(tmp_path / "part.1.scp")
    assert archive.ids == ["b"] and "c is left out" in caplog.text
    monkeypatch.setattr(CodecTokenizer, "encode", lambda self, wav: refuse(len(wav[0]), encode(self, wav)))
    assert extract_acoustic_tokens(data, None, expdir, tmp_path / "refused/part.1") == 1
    assert TokenArchive(tmp_path / "refused/part.1.scp").ids == ["a"] and "b is left out: kernel" in caplog.text
    monkeypatch.undo()
    tokenizer = load_acoustic_tokenizer(expdir)
    assert archive.info == tokenizer.info
    from soundstorm.data.audio import read_audio

    wav = torch.from_numpy(read_audio(tmp_path / "b.wav", 16000))
    np.testing.assert_array_equal(archive["b"], tokenizer.encode(wav[None])[0].numpy())
