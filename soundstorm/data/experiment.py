"""An experiment directory: settings written once at training and read by everything after.

``config.yaml`` (resolved settings), ``environment.txt``, ``command.txt``, ``metrics.jsonl``, TensorBoard
events, ``checkpoints/`` and, when training is over, ``model.safetensors`` with the weights that decoding
uses.
"""

import datetime
import os
import platform
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import Field, asdict, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import yaml

from soundstorm.data.data_dir import write_text
from soundstorm.data.errors import InputError
from soundstorm.data.pack import can_be_on_hub
from soundstorm.data.records import make_record
from soundstorm.data.variants import Variants

Section = TypeVar("Section")

MODEL_FILE = "model.safetensors"
SECONDS_BETWEEN_LOOKS = 0.5  # at what another process makes, however long it takes: a collective call would give up


def start_experiment(expdir: str | Path, config: dict, command: list[str]) -> None:
    """Create the directory, or check that an existing one was made with the same settings.

    Options that say so (``options.option``) may have changed as long as training is not finished:
    ``config.yaml`` has the new values from then on, ``changes.txt`` a line for each. Of several processes the
    first one writes.

    Args:
        expdir: the experiment directory.
        config: section name -> dict or dataclass.
        command: the command line, kept for people.

    Raises:
        ValueError: ``config.yaml`` is there and says something else.
    """
    expdir = Path(expdir)
    expdir.mkdir(parents=True, exist_ok=True)
    resolved = {name: _plain(values) for name, values in config.items()}
    path, allowed = expdir / "config.yaml", _changeable(config)
    started = path.exists()
    newer = {*allowed, *_at_default(config)}  # what an older experiment need not have
    changed = list(_differences(read_config(expdir), resolved, newer)) if started else []
    refused = [change for change in changed if change[0] not in allowed or is_finished(expdir)]
    if refused:
        listed = "; ".join(_describe(*change) for change in refused[:5])
        if all(name in allowed for name, _, _ in refused):
            remedy = f"Its training is finished: remove {expdir / MODEL_FILE} to go on with it"
        else:
            remedy = "Choose another tag, or remove the directory to train again"
        raise InputError(f"{path}: this experiment was started with other settings: {listed}. {remedy}")
    if not is_first_process() or started and not changed:
        return
    if started:
        record, today = expdir / "changes.txt", datetime.date.today().isoformat()
        lines = [f"{today} {_describe(*change)}; training {allowed[change[0]]}\n" for change in changed]
        write_text(record, (record.read_text(encoding="utf-8") if record.exists() else "") + "".join(lines))
    else:
        write_text(expdir / "command.txt", " ".join(command) + "\n")
        write_text(expdir / "environment.txt", describe_environment())
    write_text(path, yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True))


def is_first_process() -> bool:
    """Whether this process writes what one of those of a training is to write; torchrun numbers them."""
    return os.environ.get("RANK", "0") == "0"


def has_config(expdir: str | Path) -> bool:
    """Whether a training has been started there."""
    return (Path(expdir) / "config.yaml").is_file()


def read_config(expdir: str | Path) -> dict:
    """The resolved settings of an experiment."""
    path = Path(expdir) / "config.yaml"
    if not path.is_file():
        on_hub = can_be_on_hub(str(expdir)) and not Path(expdir).parent.is_dir()
        hint = f" (if it is a pack on the hub, first: hf download {expdir})" if on_hub else ""
        raise FileNotFoundError(
            f"{path}: no such file; {expdir} is not an experiment directory, or was never trained{hint}"
        )
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected sections, got {config!r:.100}")
    return config


def recorded_setting(expdir: str | Path, section: str, name: str) -> object:
    """One setting of an experiment that may have been started; None where it has not."""
    return (read_config(expdir).get(section) or {}).get(name) if has_config(expdir) else None


def config_section(expdir: str | Path, name: str, cls: type[Section] | Variants) -> Section:
    """One section of an experiment's settings as the dataclass it was written from, or as that of its kind.

    Raises:
        ValueError: there is no such section, or it is not one of that kind.
    """
    config, path = read_config(expdir), Path(expdir) / "config.yaml"
    if name not in config:
        found = ", ".join(map(str, config))
        raise InputError(
            f"{path}: no section {name!r}, it has {found:.200}; is it an experiment of another kind?"
        )
    if isinstance(cls, Variants):
        cls = cls.of_settings(config[name], f"{path}: {name}")
    return make_record(cls, config[name], f"{path}: {name}")


def is_finished(expdir: str | Path) -> bool:
    """Whether training is over: the exported weights are written last."""
    return (Path(expdir) / MODEL_FILE).is_file()


def load_weights(expdir: str | Path, model) -> None:
    """Load the exported weights of an experiment into ``model`` (strictly)."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(expdir) / MODEL_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; has this experiment finished training?")
    try:
        weights = load_file(path)
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise InputError(
            f"{path}: cannot be loaded ({' '.join(str(error).split())[:300]}); train the experiment again"
        ) from error
    broken = [
        name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()
    ]
    if broken:
        raise InputError(
            f"{path}: {broken[0]} has numbers that are NaN or infinite; train the experiment again"
        )


def describe_environment() -> str:
    """Versions, commit and host, for ``environment.txt``."""
    lines = [
        f"host {platform.node()}",
        f"platform {platform.platform()}",
        f"python {platform.python_version()}",
    ]
    for name in ("torch", "transformers", "accelerate", "numpy", "scikit-learn", "soundfile", "espnet"):
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} -")
    lines.append(f"commit {source_commit()}")
    return "\n".join(lines) + "\n"


def source_commit() -> str:
    """Commit of this source tree, with ``-dirty`` if it was changed; ``unknown`` outside git."""
    root = Path(__file__).resolve().parents[2]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return described.stdout.strip() or "unknown"


def _plain(values: object) -> object:
    if is_dataclass(values) and not isinstance(values, type):
        values = asdict(values)
    if isinstance(values, dict):
        return {str(key): _plain(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_plain(value) for value in values]
    return str(values) if isinstance(values, Path) else values


def _changeable(config: dict) -> dict[str, str]:
    """Settings that may change on resuming, by dotted name, and what that means."""
    found = {name: field.metadata.get("on_resume") for name, field, _ in _settings(config)}
    return {name: meaning for name, meaning in found.items() if meaning}


def _at_default(config: dict) -> set[str]:
    """Settings, by dotted name, that change nothing of what there was before they were added."""
    return {name for name, field, value in _settings(config) if value == field.default}


def _settings(config: dict) -> Iterator[tuple[str, Field, object]]:
    for section, values in config.items():
        for field in fields(values) if is_dataclass(values) else ():
            yield f"{section}.{field.name}", field, getattr(values, field.name)


def _differences(old: object, new: object, optional: Collection[str], where: str = "") -> Iterator[tuple]:
    """Name, old and new value of what differs. What is ``optional`` may be newer than an old experiment."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(set(old) | set(new), key=str):
            name = f"{where}.{key}" if where else key
            if key in old or name not in optional:
                yield from _differences(old.get(key), new.get(key), optional, name)
    elif old != new:
        yield where, old, new


def _describe(name: str, old: object, new: object) -> str:
    return f"{name} was {old!r} and is now {new!r}"
