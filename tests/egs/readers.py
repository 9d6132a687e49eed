"""The corpus of egs/TEMPLATE/README.md, and the README followed to the letter."""

import re
import shutil

import numpy as np
import soundfile
import yaml

SPEAKERS = ("anna", "bert", "carl", "dora")
# The smallest of models.
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
    "train_semantic_to_text": {"model": {"layers": 1, "dim": 32, "heads": 2, "head_dim": 16, "ffn_dim": 64}},
    "train_audiolm": {
        "model": {"layers": 1, "width": 32, "heads": 2, "head_dim": 16, "inner": 64, "dropout": 0.0},
        "data": {"semantic_seconds": 4.0, "coarse_seconds": 4.0, "fine_seconds": 2.0},
    },
    "train_tacotron2": {
        "mel": {"sample_rate": 16000, "hop": 200, "window": 800, "num_mels": 20},
        "model": {
            "embedding": 16,
            "encoder_width": 16,
            "attention": 16,
            "decoder_width": 16,
            "prenet": 16,
            "postnet_width": 16,
            "reduction": 4,
        },
        "wavenet": {
            "layers": 2,
            "cycles": 1,
            "residual": 8,
            "gate": 8,
            "skip": 8,
            "mixtures": 2,
            "upsampling": [10, 20],
        },
        "wavenet_training": {"max_steps": 2, "batch_size": 2},
    },
    "train_recognizer": {"model": {"num_mels": 20, "width": 32, "blocks": 2}},
    "train_token_recognizer": {"model": {"num_mels": 20, "width": 32, "blocks": 2, "stack": 2}},
    "train_consistency": {
        "model": {"layer": 1, "width": 32, "heads": 2, "embedding_dim": 16},
        "crops": {"min_seconds": 1.0, "max_seconds": 2.0},
    },
}
OPTIONS = (
    "--ssl-model pretrain --semantic-layer 1 --semantic-clusters 16 --mfcc-clusters 10 --recognizer train "
    "--train-threads 1 --nj 2"
).split()
CONFIGS["pretrain_text_to_semantic"] = CONFIGS["train_text_to_semantic"]
BLOCK = re.compile(r"^```(\w+) (run|file|line)=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_corpus(directory, *, sample_rate=16000, seconds=1.0, chapters=2, longer=0.25):
    """FLAC files in speakers' folders, each some seconds longer than the one before, and one table of transcripts."""
    rng = np.random.default_rng(0)
    lines = []
    for speaker in SPEAKERS:
        (directory / speaker).mkdir(parents=True)
        for number in range(chapters, 0, -1):
            wav = rng.uniform(-0.1, 0.1, int(sample_rate * (seconds + longer * number)))
            soundfile.write(directory / speaker / f"chapter{number}.flac", wav, sample_rate)
            lines.append(f"{speaker}\tchapter{number}\tThe sea says {speaker}\n")
    (directory / "transcripts.tsv").write_text("".join(lines))


def blocks_of(path):
    """A document's blocks that say how they are used: (language, use, where, text)."""
    return [match.groups() for match in BLOCK.finditer(path.read_text(encoding="utf-8"))]


def readme_blocks(checkout):
    """Those of the walk through a new corpus."""
    return blocks_of(checkout.root / "egs/TEMPLATE/README.md")


def add_unigram(checkout):
    """Add an acoustic model as CONTRIBUTING does; the number of lines added to files that were there."""
    package = checkout.root / "soundstorm"
    package.unlink()
    shutil.copytree(checkout.source / "soundstorm", package, ignore=shutil.ignore_patterns("__pycache__"))
    lines = 0
    for _, use, where, text in blocks_of(checkout.source / ".github/CONTRIBUTING.md"):
        path = checkout.root / where
        if use == "file":
            assert not path.exists()
            path.write_text(text)
        else:
            assert use == "line"
            source = path.read_text()
            assert source.count("MODULES = {\n") == 1
            path.write_text(source.replace("MODULES = {\n", "MODULES = {\n" + text))
            lines += text.count("\n")
    return lines


def follow_readme(checkout, corpus, timeout=60):
    """Run and write what the README says, in its order."""
    used = set()
    for language, use, where, text in readme_blocks(checkout):
        used.add((language, use))
        if use == "file":
            path = checkout.root / where
            assert path.exists(), f"{where}: setup.sh should have made a skeleton"
            path.write_text(text)
        elif language == "bash":
            cwd = "." if where == "root" else "egs/readers"
            done = checkout.run(["bash", "-euo", "pipefail", "-c", text], cwd=cwd, timeout=timeout, CORPUS=str(corpus))
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert used == {("bash", "run"), ("bash", "file"), ("python", "run")}


def write_configs(recipe, **training):
    """The recipe's configurations, as small as can be, with the same settings of the training loop in all of them."""
    for name, sections in CONFIGS.items():
        text = yaml.safe_dump({**sections, "training": training})
        (recipe / f"conf/{name}.yaml").write_text(f"# as small as can be\n{text}")
