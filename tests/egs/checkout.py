"""A copy of the recipes in another directory, so that tests write nothing into the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WRITTEN = ("corpus", "corpus_small", "data", "data_*", "dump*", "exp*", "downloads", "q", "__pycache__")


class Checkout:
    """A directory with ``egs``, ``utils`` and ``soundstorm`` as in the repository.

    Attributes:
        root: The directory.
        source: The repository.
        first: Folders that come first on the PATH of what is run.
    """

    source = ROOT

    def __init__(self, root: Path, first: tuple[Path, ...] = ()):
        self.root, self.first = root, first
        shutil.copytree(ROOT / "egs", root / "egs", symlinks=True, ignore=shutil.ignore_patterns(*WRITTEN))
        for name in ("utils", "soundstorm"):
            (root / name).symlink_to(ROOT / name)

    def environment(self) -> dict[str, str]:
        """Ours, with this Python first on the PATH, or what stands for it."""
        path = os.pathsep.join([*map(str, self.first), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix}

    def run(self, command: list, *, cwd: str = ".", timeout: float = 60, **variables: str):
        """Runs a command below ``root`` with this Python first on the PATH."""
        return subprocess.run(
            command,
            cwd=self.root / cwd,
            env={**self.environment(), **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
