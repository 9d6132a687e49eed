"""Stage 1's fronts one after the other on a few noises: MFCC labels, HuBERT, k-means, tokens, quality."""

import json
import shutil

import pytest

from soundstorm.bin import extract_semantic_tokens, measure_token_quality, pretrain_hubert, train_kmeans
from soundstorm.data.archive import TokenArchive
from tests.tokens.conftest import data_dir  # noqa: F401

HUBERT = """
# A HuBERT for a test.
model: {width: 16, num_layers: 2, num_heads: 2, feed_forward_width: 16, conv_widths: [8, 8], conv_kernels: [40, 12],
  conv_strides: [32, 10], conv_norm: layer, position_kernel: 8, position_groups: 2, label_width: 8}
data: {crop_seconds: 0.5}
training: {max_steps: 3, batch_size: 2, log_every: 1, valid_every: 3, save_every: 3}
"""


def test_the_stage_runs_and_a_second_run_changes_nothing(tmp_path, data_dir, capsys):  # noqa: F811
    data, mfcc, hubert, kmeans = str(data_dir), str(tmp_path / "mfcc"), str(tmp_path / "hubert"), str(tmp_path / "km")
    (tmp_path / "train_hubert.yaml").write_text(HUBERT)
    chain = [
        (train_kmeans, ["--data-dir", data, "--features", "mfcc", "--clusters", "4", "--output", mfcc]),
        (
            pretrain_hubert,
            ["--train-data", data, "--valid-data", data, "--labels-kmeans", mfcc, "--expdir", hubert]
            + ["--config", str(tmp_path / "train_hubert.yaml")],
        ),
        (
            train_kmeans,
            ["--data-dir", data, "--features", f"{hubert}/hubert", "--layer", "1", "--clusters", "3"]
            + ["--output", kmeans],
        ),
    ]
    with pytest.raises(ValueError, match=r"layer 3 of this .* layers 0 to 2 .*; give another --target-layer, in a rec"):
        pretrain_hubert.main([*chain[1][1], "--target-layer", "3"])
    chain[1][1].extend(["--target-layer", "2"])
    for front, options in chain:
        front.main(options)
    files = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    shutil.move(data_dir / "utt2dur", tmp_path / "utt2dur")  # nothing is read again
    for front, options in chain:
        front.main(options)
    shutil.move(tmp_path / "utt2dur", data_dir / "utt2dur")
    assert files == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}

    (tmp_path / "keys.scp").write_text("s0-u2 x\ns1-u1 x\n")
    output = str(tmp_path / "dump" / "semantic.1")
    extract_semantic_tokens.main(
        ["--data-dir", data, "--keys", str(tmp_path / "keys.scp"), "--kmeans", kmeans, "--output", output]
    )
    archive = TokenArchive(f"{output}.scp")
    assert archive.ids == ["s0-u2", "s1-u1"] and archive.info.codebook_size == 3
    report = tmp_path / "quality.json"
    measure_token_quality.main(
        ["--data-dir", data, "--tokens", f"{output}.scp", "--kmeans", mfcc, "--output", str(report)]
    )
    measured = json.loads(report.read_text())
    assert set(measured) == {f"{output}.scp", mfcc} and measured[mfcc]["num_utterances"] == 6
    assert f"| {mfcc} |" in capsys.readouterr().out


def test_the_quality_front_wants_something_to_measure(tmp_path):
    with pytest.raises(ValueError, match="nothing to measure; give --tokens or --kmeans"):
        measure_token_quality.main(["--data-dir", str(tmp_path)])
