import subprocess
import sys

import pytest

from soundstorm.bin import extract_acoustic_tokens, merge_tokens, train_codec
from soundstorm.bin.common import section


def run(front: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", f"soundstorm.bin.{front}", *arguments], capture_output=True, text=True, timeout=120
    )


def test_extraction_with_an_unknown_codec_ends_in_one_line(tmp_path):
    result = run(
        "extract_acoustic_tokens", "--data-dir", str(tmp_path), "--codec", "opus:x", "--output", str(tmp_path / "a")
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "opus:x: unknown codec" in result.stderr


def test_merging_parts_that_are_not_there_ends_in_one_line(tmp_path):
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    result = run("merge_tokens", "--output", str(tmp_path / "semantic.scp"), str(tmp_path / "part.1.scp"))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "part.1.scp" in result.stderr


def test_a_misspelt_setting_of_the_codec_is_named_with_the_right_one(capsys):
    with pytest.raises(SystemExit):
        train_codec.get_parser().parse_args(
            ["--train-data", "a", "--valid-data", "b", "--expdir", "c", "--model.num-level", "4"]
        )
    assert "did you mean 'model.num_levels'" in capsys.readouterr().err


def test_lists_of_the_configuration_arrive_as_tuples(tmp_path):
    path = tmp_path / "codec.yaml"
    path.write_text("model: {family: soundstream, strides: [2, 4]}\ntraining: {batch_size: 2}\n")
    args = train_codec.get_parser().parse_args(
        ["--config", str(path), "--train-data", "a", "--valid-data", "b", "--expdir", "c"]
    )
    model = section(args, "model", train_codec.SECTIONS["model"])
    assert model.strides == (2, 4) and model.samples_per_frame == 8


@pytest.mark.parametrize(
    "text, options, message",
    [
        (
            "model: {family: istft, channels: 8}",
            [],
            "model.channels is a setting of family soundstream, but model.family is istft; leave it out, or choose "
            "model.family: soundstream",
        ),
        ("model: {family: soundstream}", ["--model.width", "8"], "model.width is a setting of family istft, but"),
        ("model: {family: wavenet}", [], "model.family is 'wavenet', expected one of istft, soundstream"),
    ],
)
def test_a_setting_of_another_family_is_refused_with_its_name(tmp_path, text, options, message):
    path = tmp_path / "codec.yaml"
    path.write_text(text)
    places = ["--train-data", "a", "--valid-data", "b", "--expdir", "c"]
    with pytest.raises(ValueError, match=message):
        train_codec.main(["--config", str(path), *places, *options])


def test_help_names_the_family_of_a_setting_and_its_default(capsys):
    with pytest.raises(SystemExit):
        train_codec.get_parser().parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "soundstream: width of the latents, D (at least 1) (default: 256)" in text
    assert "RVQ levels Q (at least 1) (default: 8)" in text and "istft: In the frame-rate domain" in text


def test_the_other_fronts_take_what_the_recipe_gives_them():
    args = extract_acoustic_tokens.get_parser().parse_args(
        ["--data-dir", "data/dev", "--keys", "keys.1.scp", "--codec", "exp/codec", "--output", "dump/acoustic.1"]
    )
    assert args.device == "auto" and args.keys == "keys.1.scp"
    args = merge_tokens.get_parser().parse_args(["--output", "data/dev/acoustic.scp", "a.scp", "b.scp"])
    assert args.parts == ["a.scp", "b.scp"] and args.data_dir is None
