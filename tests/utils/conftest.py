"""What the tests of the shell utilities share: running them as a recipe would."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[2] / "utils"
HANDING_ON = re.compile(r'exec python3 "\$\(dirname "\$0"\)/(\w+\.py)" (\w+\.sh) "\$@"\n$')
TOOLS = ("filter_scp.py", "split_scp.py", "utt2spk_to_spk2utt.py")


class Shell:
    """Runs commands in a temporary recipe directory, which links to `utils` as recipes do.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "utils").symlink_to(UTILS)

    def __call__(self, *command: object, env: dict[str, str] | None = None, **options: object):
        """Run a command; returns the completed process with `stdout` and `stderr` as strings.

        A tool in Python, with or without a shell script that hands all words on to it, runs in this process, which
        has what it imports: these tests are hundreds. Recipes' tests start the scripts.
        """
        if tool := not env and set(options) <= {"input"} and python_tool(str(command[0])):
            return self.run_here(*tool, *map(str, command[1:]), **options)
        return subprocess.run(
            [str(word) for word in command],
            cwd=self.root,
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
            **options,
        )

    def run_here(self, *words: str, input: str = ""):
        """As `__call__`, for a script in Python among the utilities."""
        texts = [io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8") for text in (input, "", "")]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            patch.setattr(sys, "argv", list(words))
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(sys, "stdin", texts[0])
            with redirect_stdout(texts[1]), redirect_stderr(texts[2]):
                try:
                    runpy.run_path(str(UTILS / words[0]), run_name="__main__")
                    status = 0
                except SystemExit as end:
                    status = end.code if isinstance(end.code, int) else int(end.code is not None)
                    if isinstance(end.code, str):
                        print(end.code, file=sys.stderr)
        for text in texts[1:]:
            text.seek(0)
        return subprocess.CompletedProcess(words, status, *(text.read() for text in texts[1:]))

    def write(self, name: str, content: str) -> Path:
        """Write a file, with its directories."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path


def python_tool(command: str) -> list[str]:
    """The script in Python that does the work of a utility, and its first words; nothing if bash does some."""
    path = UTILS / command.removeprefix("utils/")
    if path.name in TOOLS:
        return [path.name]
    handing_on = HANDING_ON.search(path.read_text()) if command.startswith("utils/") else None
    return list(handing_on.groups()) if handing_on else []


@pytest.fixture
def shell(tmp_path) -> Shell:
    return Shell(tmp_path)


SPEAKERS = {"anna": 4, "ben": 3, "cora": 5}


@pytest.fixture
def good_dir(shell) -> Path:
    """A data directory with every file there can be, where each utterance is a recording."""
    utterances = [(f"{name}-{number}", name) for name, count in SPEAKERS.items() for number in range(count)]
    tables = {
        "wav.scp": [f"{u} corpus/{u}.wav" for u, _ in utterances],
        "utt2spk": [f"{u} {s}" for u, s in utterances],
        "spk2utt": [f"{s} " + " ".join(f"{s}-{n}" for n in range(count)) for s, count in SPEAKERS.items()],
        "text": [f"{u} THE WORDS OF {u}" for u, _ in utterances],
        "utt2dur": [f"{u} {1 + (7 * i) % 12}.25" for i, (u, _) in enumerate(utterances)],
        "utt2num_frames": [f"{u} {50 + i}" for i, (u, _) in enumerate(utterances)],
        "semantic.scp": [f"{u} dump/semantic.ark:{i}" for i, (u, _) in enumerate(utterances)],
        "phones.ctm": [f"{u} 1 {t} 0.5 {p}" for u, _ in utterances for t, p in ((0, "sil"), (0.5, "a"))],
        "spk2gender": ["anna f", "ben m", "cora f"],
    }
    for name, lines in tables.items():
        shell.write(f"data/all/{name}", "".join(line + "\n" for line in lines))
    shell.write("data/all/semantic.json", '{"name": "hubert"}\n')
    return shell.root / "data" / "all"


@pytest.fixture
def segmented_dir(shell) -> Path:
    """A data directory of two recordings cut into segments."""
    shell.write("data/long/wav.scp", "reco1 corpus/1.flac\nreco2 corpus/2.flac\n")
    shell.write("data/long/reco2dur", "reco1 10\nreco2 4.5\n")
    shell.write("data/long/segments", "a-1 reco1 0 2.5\na-2 reco1 2.5 10\nb-1 reco2 0.5 4.5\n")
    shell.write("data/long/utt2spk", "a-1 a\na-2 a\nb-1 b\n")
    shell.write("data/long/spk2utt", "a a-1 a-2\nb b-1\n")
    shell.write("data/long/text", "a-1 one\na-2 two\nb-1 three\n")
    return shell.root / "data" / "long"
