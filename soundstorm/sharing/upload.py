"""Upload of a pack to the hub: what would go is said first, and nothing goes unless that is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from soundstorm.data.errors import InputError
from soundstorm.data.pack import can_be_on_hub, open_pack
from soundstorm.sharing.model_card import CARD

WANTED = ("license", "language", "datasets")


def push_pack(root: str | Path, name: str, *, really: bool = False) -> str:
    """Upload a pack to a private repository ``org/name``, or say what would be uploaded.

    Args:
        root: the pack.
        name: on the hub; the repository is made where there is none.
        really: open a connection and do it.

    Returns:
        What would go, or where it went, for people.

    Raises:
        FileNotFoundError, ValueError: no pack, a damaged one, a name that cannot be, or that of a public repository.
        OSError: the hub cannot be reached or refuses.
    """
    root = Path(root)
    if not can_be_on_hub(name):
        raise InputError(f"--push is {name!r:.80}, expected <organisation or user>/<name>")
    pack = open_pack(root)
    for part in pack.parts:
        pack.part(part)  # nothing that is damaged is handed on
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    if not really:
        total = sum(path.stat().st_size for path in paths)
        lines = [f"{path.stat().st_size:>12,}  {path.relative_to(root)}" for path in paths]
        lines += [f"the card does not say {field}: edit {root / CARD}" for field in _lacking(root / CARD)]
        lines.append(
            f"{total:,} bytes in {len(paths)} files would go to https://huggingface.co/{name}, if private or new; "
            "nothing was sent. Add --really-push to upload them (after `hf auth login`)"
        )
        return "\n".join(lines)
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(name, private=True, exist_ok=True)  # one that is there stays as it is
        if not api.repo_info(name).private:
            raise InputError(
                f"{name}: is public, expected a private repository; nothing was sent. Choose another --push, make it "
                f"private in its settings on the hub, or publish at once by: hf upload {name} {root}"
            )
        commit = api.upload_folder(
            repo_id=name, folder_path=root, commit_message=f"Upload {root.resolve().name}"
        )
    except InputError:
        raise
    except Exception as error:  # no network, no token, no right, no room: of several libraries
        reason = " ".join(str(error).split())
        raise OSError(
            f"{name}: not uploaded ({reason:.300}); see `hf auth whoami`, and run the same again"
        ) from error
    return f"{commit.commit_url}: uploaded, private; make it public in its settings on the hub"


def _lacking(card: Path) -> list[str]:
    """Fields of the hub's metadata that the card leaves open."""
    found = re.match(
        r"---\n(.*?)\n---\n", card.read_text(encoding="utf-8") if card.is_file() else "", re.DOTALL
    )
    try:
        front = yaml.safe_load(found[1]) if found else {}
    except yaml.YAMLError as error:
        raise InputError(
            f"{card}: its head is no YAML ({' '.join(str(error).split()):.200}); correct it"
        ) from error
    return [name for name in WANTED if not (isinstance(front, dict) and front.get(name))]
