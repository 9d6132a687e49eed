"""Models by name: a directory, or a name on the hub, which is the directory of one of its commits.

Everything about a model is read from that directory, so that configuration and weights belong together, and
a name that is recorded with its commit (``facebook/hubert-base-ls960@<40 hexadecimal digits>``) stays what
it was. Weights are safetensors. Where a model's main branch has none, the hub's converter has often put them
on one of its own, ``refs/pr/<number>``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(rf"(?P<name>[\w-][\w.-]*(/[\w-][\w.-]*)?)(@(?P<commit>{COMMIT.pattern}))?")
# Not the same weights again in other formats or precisions, of which there may be gigabytes.
FILES = ("*.json", "*.txt", "*.model")


class WeightFiles(NamedTuple):
    """What holds weights, as patterns of names, the usual one first; for messages what it is and what writes it."""

    patterns: tuple[str, ...]
    name: str
    made_by: str


SAFETENSORS = WeightFiles(("model.safetensors", "model-*.safetensors"), "safetensors", "save_pretrained")
CTRANSLATE2 = WeightFiles(("model.bin",), "weights of CTranslate2", "ct2-transformers-converter")


def model_directory(source: str | Path, *, local_only: bool = False, weights: WeightFiles = SAFETENSORS) -> Path:
    """The directory of a model, downloaded where that is needed.

    Args:
        source: a directory, which is returned as it is; or a hub name, for its newest commit that has
            such weights; or a hub name and a commit after ``@``.
        local_only: look for a hub name in the cache only. So a name that a user did not give, but a file that
            was read, never opens a connection.
        weights: what its weights are in.

    Raises:
        FileNotFoundError: there is none, or none with such weights.
    """
    if Path(source).is_dir():
        return Path(source)
    found = NAME.fullmatch(str(source))
    if found is None:
        raise FileNotFoundError(
            f"{source}: neither a directory nor one that has been downloaded, as it cannot be a hub name "
            "(<organisation>/<model>, perhaps with @ and a commit); correct it"
        )
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # they fill the logs of jobs
    name, commit = found["name"], found["commit"]
    local_only = local_only or constants.HF_HUB_OFFLINE
    reason = ""
    by_hub = weights is SAFETENSORS  # which the hub makes, on branches of its own
    branches = _branches(name, local_only) if by_hub else ["main"]
    for revision in [commit] if commit else branches:
        try:
            folder = Path(
                snapshot_download(
                    name,
                    revision=revision,
                    allow_patterns=[*FILES, *weights.patterns],
                    ignore_patterns="*/*",
                    local_files_only=local_only,
                )
            )
        except (OSError, ValueError) as error:  # among them all that the hub answers
            reason = reason or " ".join(str(error).split())
            continue
        if (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in weights.patterns):
            logger.info("%s: commit %s", name, folder.name)
            return folder
        reason = f"commit {folder.name} lacks config.json or {weights.patterns[0]}"
    if local_only:
        where, download = "one that has been downloaded", f"hf download {name} --revision"
        remedy = f"where there is a network run: {download} {commit or 'main'}"
        if by_hub and not commit:
            remedy += f", or if that has no safetensors: {download} refs/pr/<number of its conversion>"
    else:
        where = f"one of the hub with {weights.name}"
        remedy = f"correct it, or give a directory of {weights.made_by}"
    raise FileNotFoundError(
        f"{source}: no model of that name, neither a directory nor {where} ({reason:.300}); {remedy}"
    )


def pinned(source: str, *, recorded: object = None, local_only: bool = False) -> str:
    """``source`` as it is to be recorded: a hub name with the commit that it means now.

    Args:
        source: what a user gave; what is no hub name stays as it is.
        local_only: it was recorded before, and stays as it is.
        recorded: what an experiment that goes on has in its place; if that is the same name, it stays, with
            its commit or (of earlier versions) without.

    Raises:
        FileNotFoundError: as of :func:`model_directory`.
    """
    if isinstance(recorded, str) and recorded.partition("@")[0] == source:
        return recorded
    if local_only or "@" in source or Path(source).is_dir() or not NAME.fullmatch(source):
        return source
    return f"{source}@{model_directory(source).name}"


def split_choice(source: str) -> tuple[str, str]:
    """``<name>[@<commit>][@<choice>]`` to the name, with its commit, and what is chosen of it or ``""``."""
    name, at, choice = source.rpartition("@")
    return (name, choice) if at and not COMMIT.fullmatch(choice) else (source, "")


def _branches(name: str, local_only: bool) -> Iterator[str]:
    """Where safetensors may be: on the main branch, else where the hub's converter has put them."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    yield "main"
    if not local_only:
        from transformers.safetensors_conversion import get_conversion_pr_reference

        try:
            yield get_conversion_pr_reference(HfApi(), name)
        except Exception as error:  # no network, no such name, nothing to convert: of several libraries
            logger.debug("%s: %s", name, error)
    refs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model") / "refs"
    yield from sorted(path.relative_to(refs).as_posix() for path in refs.glob("refs/pr/*"))
