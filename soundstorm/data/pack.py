"""Packs: directories that share trained models, and stand in for the experiments they were made of.

A pack holds ``pack.json``, a model card and a directory for each part; ``utils/pack_model.sh`` makes one.
Wherever an experiment directory is asked for, the pack will do, or its name on the hub (``org/name``) once it
has been downloaded: nothing here opens a connection. Nothing in a pack is executed or unpickled. The sizes
and digests of all files of the parts are in ``pack.json`` and compared before a part is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from soundstorm.data.errors import InputError
from soundstorm.data.records import read_json

PACK_FILE = "pack.json"
DECODING_FILE = "decode.yaml"  # how its models are best decoded
FORMAT = "soundstorm-pack-1"
SSL_MODEL = "ssl_model"  # inside the parts that listen through one
PART_NAME = re.compile(r"[a-z][a-z0-9_]*")
# A codec of transformers: its family, where it is (./ is in the pack, else on the hub), and perhaps its
# commit there and its levels.
CODEC_NAME = re.compile(r"(?P<family>[a-z]+):(?P<name>(\./)?[\w-][\w./-]*)(?P<levels>(@[\w.]+){1,2})?")


@dataclass(frozen=True)
class Pack:
    """An opened pack."""

    root: Path
    parts: dict[str, str]  # part -> its directory in the pack, or the name of a codec of transformers
    files: Mapping[str, Mapping] = field(default_factory=dict)  # path -> size, sha256; none in older packs

    def part(self, name: str) -> str:
        """What stands for the experiment: a directory, or the name of a codec of transformers.

        Raises:
            FileNotFoundError: the pack has no such part, or a file of it is missing.
            ValueError: a file is not what was packed.
        """
        if name not in self.parts:
            raise FileNotFoundError(f"{self.root}: this pack has no {name}; it has {', '.join(self.parts)}")
        for path, wanted in self.files.items():
            if path.startswith(f"{name}/"):
                self._check(self.root / path, wanted)
        value = self.parts[name]
        codec = CODEC_NAME.fullmatch(value)
        if codec is None:
            return str(self.root / value)
        where = codec["name"]
        if where.startswith("./"):
            where = str(self.root / where)
        return f"{codec['family']}:{where}{codec['levels'] or ''}"

    def _check(self, path: Path, wanted: Mapping) -> None:
        found = path.stat()  # its own error names it
        if found.st_size != wanted.get("size"):
            raise InputError(
                f"{path}: {found.st_size} bytes, expected {wanted.get('size')!r:.80} of {PACK_FILE}; "
                "get the pack again"
            )
        digest = _digest(path, found.st_size, found.st_mtime_ns)
        if digest != wanted.get("sha256"):
            raise InputError(
                f"{path}: its SHA-256 is {digest}, expected {wanted.get('sha256')!r:.80} of {PACK_FILE}; "
                "get the pack again"
            )


@lru_cache(maxsize=1024)
def _digest(path: Path, size: int, time: int) -> str:
    """SHA-256 of a file, once a process as long as the file does not change."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe_files(root: Path, parts: Mapping[str, str]) -> dict[str, dict]:
    """Size and digest of every file of the parts, for ``pack.json``."""
    paths = sorted(path for part in parts for path in (root / part).rglob("*") if path.is_file())
    digests = [_digest.__wrapped__(path, 0, 0) for path in paths]  # anew
    return {
        path.relative_to(root).as_posix(): {"size": path.stat().st_size, "sha256": digest}
        for path, digest in zip(paths, digests, strict=True)
    }


def open_pack(root: str | Path) -> Pack:
    """Read ``pack.json``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, of another format, or leads out of the pack.
    """
    path = Path(root) / PACK_FILE
    values = read_json(path, "get the pack again")
    if values.get("format") != FORMAT:
        raise InputError(
            f"{path}: format is {values.get('format')!r:.80}, expected {FORMAT}; use the code it names"
        )
    parts = values.get("parts")
    if not isinstance(parts, dict) or not parts:
        raise InputError(
            f"{path}: parts is {parts!r:.80}, expected names with directories; get the pack again"
        )
    for name, value in parts.items():
        codec = CODEC_NAME.fullmatch(value) if name == "codec" and isinstance(value, str) else None
        inside = codec is not None and ".." not in codec["name"].split("/")
        if not PART_NAME.fullmatch(name) or value != name and not inside:
            raise InputError(
                f"{path}: part {name!r:.40} is {value!r:.80}; expected a name in small letters, in "
                f"a directory of "
                "its own name, or a codec by name; get the pack again"
            )
    files = values.get("files", {})
    if not isinstance(files, dict) or not all(
        isinstance(wanted, dict) and ".." not in name.split("/") for name, wanted in files.items()
    ):
        raise InputError(
            f"{path}: files is {files!r:.80}, expected paths in the pack with size and sha256; "
            "get the pack again"
        )
    return Pack(Path(root), parts, files)


def part_of(place: str | Path, part: str) -> str:
    """The part of a pack that ``place`` names; anything that is no pack is returned as it is.

    Args:
        place: a directory, or a name on the hub.
        part: its name, e.g. codec.

    Raises:
        FileNotFoundError: the pack lacks the part.
    """
    root = find_pack(place)
    return str(place) if root is None else open_pack(root).part(part)


def find_pack(place: str | Path, revision: str | None = None) -> Path | None:
    """The directory of a pack, given that or its name ``org/name`` in the hub's cache; None if neither.

    ``revision``: commit, tag or branch of the one in the cache.
    """
    if (Path(place) / PACK_FILE).is_file():
        return Path(place)
    if os.path.exists(place) or not can_be_on_hub(str(place)):
        return None
    return find_cached(str(place), revision)


def can_be_on_hub(name: str) -> bool:
    """Whether it is ``org/name`` as the hub takes it; a path may have two names too, with ``é`` or ``--`` in them."""
    if name.count("/") != 1:
        return False
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def how_to_get(place: str | Path) -> str:
    """For messages that a pack is not there: a path in a recipe's experiments is made, a name may be on the hub."""
    if re.search(r"(^|/)exp(_[^/]*)?/", str(place)):
        return "its recipe makes it by ./run.sh --pack true, that of egs/mini by make -C tools mini"
    if can_be_on_hub(str(place)):
        return f"if it is on the hub, run first: hf download {place}"
    return "give the directory that utils/pack_model.sh made"


def find_cached(name: str, revision: str | None = None) -> Path | None:
    """Where the hub's cache has the pack ``org/name``; None if it has not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, PACK_FILE, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def own_ssl_model(directory: str | Path, named: str) -> str:
    """The self-supervised model that came along in a part of a pack; where none did, the one its settings
    name.

    Args:
        directory: the part.
        named: a directory or a hub name, after a colon where it is of another kind (``w2v-bert:``).
    """
    folder = Path(directory) / SSL_MODEL
    return ssl_prefix(named) + str(folder) if folder.is_dir() else named


def ssl_prefix(named: str) -> str:
    """What stands before the directory or hub name: ``w2v-bert:``, or nothing."""
    kind, colon, _ = named.partition(":")
    return kind + colon if colon and "/" not in kind else ""


def without_places(name: str) -> str:
    """The text with absolute paths, also after prefixes such as ``w2v-bert:`` and with blanks in their folders, cut to
    their last name."""
    return re.sub(r"(?<![^\s:])/(?!/)(\S*/)?([^/:\n]*[^/:\s]/)*", "", name)


def link_part(place: str | Path, part: str, directory: str | Path) -> None:
    """Make ``directory`` an experiment directory whose files are links into a pack, so that results lie
    beside them.

    Args:
        place: the pack.
        part: its name; of a model of several stages (parts ``<part>_<stage>``) each gets a directory in
            ``directory``.
        directory: what to make; links there that lead elsewhere are replaced.

    Raises:
        ValueError: the part is only named in the pack, or the directory has files of its own by these names.
    """
    root = find_pack(place)
    parts = open_pack(root).parts if root is not None else {}
    stages = [name for name in parts if name.startswith(f"{part}_")] if part not in parts else []
    for stage in stages:
        link_part(place, stage, Path(directory) / stage.removeprefix(f"{part}_"))
    if stages:
        return
    source, directory = Path(part_of(place, part)).absolute(), Path(directory)
    if not source.is_dir():
        raise InputError(
            f"{place}: its {part} is {part_of(place, part)}; give that name instead, as --{part}"
        )
    directory.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        link = directory / path.name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise InputError(
                f"{link}: is no link into {place}; choose another --expdir, or remove {directory}"
            )
        link.symlink_to(path, target_is_directory=path.is_dir())


def copy_files(source: Path, target: Path, names: tuple[str, ...]) -> None:
    """Copy those of the named files and directories that there are."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif (source / name).exists():
            shutil.copyfile(source / name, target / name)
