"""The corpus of egs/TEMPLATE/README.md, and the README followed to the letter."""

import re

import numpy as np
import soundfile

SPEAKERS = ("anna", "bert", "carl", "dora")
BLOCK = re.compile(r"^```(\w+) (run|file)=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_corpus(directory, *, sample_rate=16000, seconds=1.0, chapters=2):
    """FLAC files in speakers' folders, a quarter of a second longer each, and one table of transcripts."""
    rng = np.random.default_rng(0)
    lines = []
    for speaker in SPEAKERS:
        (directory / speaker).mkdir(parents=True)
        for number in range(chapters, 0, -1):
            wav = rng.uniform(-0.1, 0.1, int(sample_rate * (seconds + 0.25 * number)))
            soundfile.write(directory / speaker / f"chapter{number}.flac", wav, sample_rate)
            lines.append(f"{speaker}\tchapter{number}\tThe sea says {speaker}\n")
    (directory / "transcripts.tsv").write_text("".join(lines))


def readme_blocks(checkout):
    """The README's blocks that say how they are used: (language, use, where, text)."""
    text = (checkout.root / "egs/TEMPLATE/README.md").read_text(encoding="utf-8")
    return [match.groups() for match in BLOCK.finditer(text)]


def follow_readme(checkout, corpus):
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
            done = checkout.run(["bash", "-euo", "pipefail", "-c", text], cwd=cwd, CORPUS=str(corpus))
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert used == {("bash", "run"), ("bash", "file"), ("python", "run")}
