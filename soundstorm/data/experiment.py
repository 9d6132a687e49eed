"""An experiment directory: settings written once at training and read by everything after.

``config.yaml`` (resolved settings), ``environment.txt``, ``command.txt``, ``metrics.jsonl``, TensorBoard events,
``checkpoints/`` and, when training is over, ``model.safetensors`` with the weights that decoding uses.
"""

import platform
import subprocess
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import yaml

from soundstorm.data.data_dir import write_text
from soundstorm.data.records import make_record

Section = TypeVar("Section")

MODEL_FILE = "model.safetensors"
OLD_NAMES = {"hubert": "ssl_model"}  # settings of section data in config.yaml files made before they were renamed


def start_experiment(expdir: str | Path, config: dict, command: list[str]) -> None:
    """Create the directory, or check that an existing one was made with the same settings.

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
    path = expdir / "config.yaml"
    if path.exists():
        kind = {name: resolved[name] for name in ("kind",) if name in resolved}  # earlier versions did not say it
        differences = list(_differences(kind | read_config(expdir), resolved))
        if differences:
            raise ValueError(
                f"{path}: this experiment was started with other settings: {'; '.join(differences[:5])}. "
                "Choose another tag, or remove the directory to train again"
            )
        return
    write_text(expdir / "command.txt", " ".join(command) + "\n")
    write_text(expdir / "environment.txt", describe_environment())
    write_text(path, yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True))


def has_config(expdir: str | Path) -> bool:
    """Whether a training has been started there."""
    return (Path(expdir) / "config.yaml").is_file()


def read_config(expdir: str | Path) -> dict:
    """The resolved settings of an experiment."""
    path = Path(expdir) / "config.yaml"
    if not path.is_file():
        hint = "" if Path(expdir).parent.is_dir() else f" (if it is a pack on the hub, first: hf download {expdir})"
        raise FileNotFoundError(
            f"{path}: no such file; {expdir} is not an experiment directory, or was never trained{hint}"
        )
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected sections, got {config!r:.100}")
    if isinstance(config.get("data"), dict):
        config["data"] = {OLD_NAMES.get(name, name): value for name, value in config["data"].items()}
    return config


def config_section(expdir: str | Path, name: str, cls: type[Section]) -> Section:
    """One section of an experiment's settings as the dataclass it was written from.

    Raises:
        ValueError: there is no such section, or it is not one of that kind.
    """
    config, path = read_config(expdir), Path(expdir) / "config.yaml"
    if name not in config:
        found = ", ".join(map(str, config))
        raise ValueError(f"{path}: no section {name!r}, it has {found:.200}; is it an experiment of another kind?")
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
        raise ValueError(
            f"{path}: cannot be loaded ({' '.join(str(error).split())[:300]}); train the experiment again"
        ) from error
    broken = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ValueError(f"{path}: {broken[0]} has numbers that are NaN or infinite; train the experiment again")


def describe_environment() -> str:
    """Versions, commit and host, for ``environment.txt``."""
    lines = [f"host {platform.node()}", f"platform {platform.platform()}", f"python {platform.python_version()}"]
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


def _differences(old: object, new: object, where: str = ""):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(set(old) | set(new), key=str):
            yield from _differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif old != new:
        yield f"{where} was {old!r} and is now {new!r}"
