"""A corpus of another shape through all stages, with the smallest of models: `pytest -m integration`."""

import pytest
import yaml

from .readers import follow_readme, write_corpus

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
TRAINING = {"max_steps": 4, "batch_size": 4, "log_every": 2, "valid_every": 2, "save_every": 2}
CONFIGS = {
    "train_hubert": {
        "model": {
            "width": 32,
            "num_layers": 2,
            "num_heads": 2,
            "feed_forward_width": 64,
            "conv_widths": [16] * 7,
        },
        "data": {"crop_seconds": 3.0},
    },
    "train_codec": {
        "model": {"num_levels": 3, "codebook_size": 16, "width": 32, "encoder_blocks": 1, "decoder_blocks": 1},
        "loss": {"mel_style": "log", "wave_discriminators": 0, "stft_discriminator": False},
    },
    "train_soundstorm": {"model": {"layers": 1, "width": 32, "heads": 2, "inner": 64}},
    "train_text_to_semantic": {
        "model": {
            "encoder_layers": 1,
            "encoder_dim": 32,
            "encoder_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_layers": 1,
            "decoder_dim": 32,
            "decoder_heads": 2,
            "head_dim": 16,
            "decoder_ffn_dim": 64,
        },
    },
    "train_recognizer": {},
    "train_consistency": {
        "model": {"layer": 1, "width": 32, "heads": 2, "embedding_dim": 16},
        "crops": {"min_seconds": 1.0, "max_seconds": 2.0},
    },
}
OPTIONS = (
    "--hubert pretrain --semantic-layer 1 --semantic-clusters 16 --mfcc-clusters 10 --recognizer train "
    "--train-threads 1 --nj 2"
).split()


def test_the_readme_s_corpus_goes_through_all_stages(checkout, tmp_path):
    write_corpus(tmp_path / "readers", seconds=4.5, chapters=4)
    follow_readme(checkout, tmp_path / "readers")
    recipe = checkout.root / "egs/readers"
    for name, sections in CONFIGS.items():
        text = yaml.safe_dump({**sections, "training": TRAINING})
        (recipe / f"conf/{name}.yaml").write_text(f"# as small as can be\n{text}")
    options = [
        *OPTIONS,
        "--systems", "codec semantic_prompted text", "--prompt-seconds", "2",
        "--score-args", "--score.quality-utterances 0", "--results", "RESULTS.md",
    ]  # fmt: skip
    done = checkout.run(["./run.sh", *options], cwd="egs/readers", timeout=800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "| SoundStorm (2 s prompt) |" in (recipe / "RESULTS.md").read_text()
    assert (recipe / "exp/report/index.html").exists()
    assert len((recipe / "exp/timing.tsv").read_text().splitlines()) == 8
