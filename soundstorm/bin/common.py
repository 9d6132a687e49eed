"""Shared by all commands: options from dataclasses and YAML, log format, errors as one line."""

import argparse
import atexit
import dataclasses
import difflib
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

import configargparse
import yaml

from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError, TrainingFailed
from soundstorm.data.prompt_encodings import ALONE, IN_CONTEXT, PROMPT_ENCODING
from soundstorm.data.records import LARGEST_INTEGER
from soundstorm.data.variants import Variants

LOG_FORMAT = "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s"


def setup_logging() -> None:
    """One format for all stages, on stderr."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr, force=True)


def training_parser(
    description: str,
    sections: dict[str, type | Variants],
    data: str,
    *,
    valid: str = "the same, to watch the training",
    expdir: str = "experiment directory to write",
) -> "FrontParser":
    """A :func:`config_parser` with the options that all trainings have, and what is said of each in its help."""
    parser = config_parser(description, sections)
    parser.add_argument("--train-data", required=True, help=data)
    parser.add_argument("--valid-data", required=True, help=valid)
    parser.add_argument("--expdir", required=True, help=expdir)
    return parser


def training_run(args: argparse.Namespace, sections: dict[str, type | Variants]):
    """The :class:`TrainingRun` that options of a :func:`training_parser` ask for."""
    config = {name: section(args, name, cls) for name, cls in sections.items()}
    from soundstorm.training.training_run import TrainingRun  # takes seconds

    return TrainingRun(args.train_data, args.valid_data, Path(args.expdir), config, sys.argv)


def acoustic_model_parser(description: str, sections: dict[str, type]) -> "FrontParser":
    """A :func:`training_parser` with the options by which the engine trains every acoustic model."""
    parser = training_parser(description, sections, "data directory with semantic.scp and acoustic.scp")
    parser.add_argument("--codec", help="codec of the acoustic tokens, e.g. to start from its codebooks")
    return parser


def starting_codebooks(run, codec: str | None):
    """Codebooks ``(Q, N, D)`` for ``init.codebooks`` of a training; None where it is off or no codec is given.

    Raises:
        ValueError: acoustic tokens of a data directory are another codec's, which decoding would find out hours later.
    """
    if not codec:
        return None
    from soundstorm.tokens.acoustic import load_codebooks, load_codec_of

    # Where there are no tokens, the training says so.
    tokens = [scp for data_dir in run.data_dirs if (scp := Path(data_dir, "acoustic.scp")).exists()]
    if run.config["init"].codebooks:
        return load_codebooks(codec, *tokens)
    load_codec_of(codec, *tokens)
    return None


def provide_numba_cache() -> None:
    """Give numba (used by librosa) a temporary cache where neither the package nor the home is writable.

    Not a lasting one under ``/tmp``: the cache holds pickles, which nobody else must be able to put there.
    """
    spec = find_spec("librosa")
    if os.environ.get("NUMBA_CACHE_DIR") or spec is None or os.access(Path(spec.origin).parent, os.W_OK):
        return
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    try:
        os.makedirs(os.path.join(home, "numba"), exist_ok=True)
        if os.access(os.path.join(home, "numba"), os.W_OK):
            return
    except OSError:
        pass
    directory = tempfile.mkdtemp(prefix="numba-")
    owner = os.getpid()  # processes that are forked inherit what is done at exit
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(directory, ignore_errors=True))
    os.environ["NUMBA_CACHE_DIR"] = directory


def run_front(main: Callable[[list[str] | None], None]) -> None:
    """Run ``main`` from the command line; a user's error is one line on stderr and exit status 1.

    A fault of the program keeps its traceback, in the log where there is one, with a last line that says so.
    """
    setup_logging()
    provide_numba_cache()
    prog = os.path.basename(sys.argv[0])
    try:
        main(None)
    except (InputError, TrainingFailed, OSError) as error:
        if os.environ.get("SOUNDSTORM_TRACEBACK"):
            raise
        print(f"{prog}: error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        print(f"{prog}: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))  # training code passes the signal
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
            print(f"{prog}: error: not enough memory ({error})", file=sys.stderr)
            sys.exit(1)
        traceback.print_exc()
        print(
            f"{prog}: error: {type(error).__name__}: {error} (a fault of the program rather than of its input; please "
            "report it with the traceback above)",
            file=sys.stderr,
        )
        sys.exit(1)


def command_line(argv: list[str] | None) -> str:
    """The command as it was called, for the record."""
    # The module's name as -m takes it: the path differs between machines.
    front, words = os.path.splitext(os.path.basename(sys.argv[0]))[0], sys.argv[1:]
    # `score abx ...` passes `...` on to measure_abx: keep the whole command line.
    if argv is not None and words[len(words) - len(argv) :] != argv:
        words = argv
    return shlex.join(["python", "-m", f"soundstorm.bin.{front}", *words])


class _NestedYaml(configargparse.ConfigFileParser):
    """YAML sections as dotted keys: ``model: {width: 8}`` is ``--model.width 8``."""

    def get_syntax_description(self) -> str:
        return "Configuration files are YAML; a section's field is an option of the same name."

    def parse(self, stream) -> dict[str, object]:
        where = getattr(stream, "name", "configuration")
        try:
            values = yaml.safe_load(stream)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise configargparse.ConfigFileParserException(f"{where}: not YAML ({reason})") from error
        if values is None:
            return {}
        if not isinstance(values, dict):
            raise configargparse.ConfigFileParserException(
                f"{where}: expected 'section: field: value', got {values!r}"
            )
        flat: dict[str, object] = {}
        for key, value in values.items():
            if isinstance(value, dict):
                flat.update({f"{key}.{name}": inner for name, inner in value.items()})
            else:
                flat[str(key)] = value
        return {key: _as_text(value, f"{where}: {key}") for key, value in flat.items()}


def _as_text(value: object, name: str) -> str:
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, (list, dict, set, tuple)) for item in items):
        raise configargparse.ConfigFileParserException(
            f"{name}: expected one value or a plain list of values"
        )
    words = {None: "none", True: "true", False: "false"}
    return ",".join(words[item] if item is None or isinstance(item, bool) else str(item) for item in items)


class FrontParser(configargparse.ArgumentParser):
    """A parser that names the nearest valid option when it meets an unknown one, and says so in one line."""

    def error(self, message: str) -> typing.NoReturn:
        """End with exit status 2. The usage, pages of options, would hide what is wrong."""
        self.exit(2, f"{self.prog}: error: {message}; see --help\n")

    def parse_args(self, args=None, namespace=None, **kwargs):
        """Parse all of them; an unknown option is an error that names the nearest one."""
        parsed, unknown = self.parse_known_args(args, namespace, **kwargs)
        if unknown:
            name = unknown[0].split("=")[0]
            valid = [option for action in self._actions for option in action.option_strings]
            long = [option for option in valid if option.startswith("--")]
            near = difflib.get_close_matches(name.replace("_", "-"), long, n=1)
            key = name.removeprefix("--").replace("-", "_")
            hint = f"; did you mean '{near[0].removeprefix('--').replace('-', '_')}'?" if near else ""
            self.error(f"unknown option or configuration key '{key}'{hint}")
        given = {(action.option_strings or [action.dest])[-1]: getattr(parsed, action.dest, None)
                 for action in self._actions if action.dest != "output"}  # fmt: skip
        refuse_overwriting(_texts(getattr(parsed, "output", None)), given)
        return parsed


def refuse_overwriting(outputs: Iterable[str | Path], given: Mapping[str, object]) -> None:
    """Refuse files to be written that are given as something to read.

    Args:
        outputs: of ``--output``.
        given: option -> its value or values, of which those that name no file are passed over; also ``A=file``.

    Raises:
        InputError: one of both is the same file.
    """
    written = {os.path.realpath(output) for output in outputs}
    for option, value in given.items() if written else ():
        for text in _texts(value):
            for path in (text, text.partition("=")[2]):
                if os.path.isfile(path) and os.path.realpath(path) in written:
                    raise InputError(f"--output would write over {path}, which {option} reads; give another --output")


def refuse_among_recordings(output: str, data_dir: str | None) -> None:
    """Refuse a directory in whose ``wav/`` recordings of the data directory lie: speech would take their names.

    Raises:
        InputError: there are some.
    """
    table = Path(data_dir or "", "wav.scp")
    if data_dir is None or not Path(output, "wav").is_dir() or not table.is_file():
        return
    folders = {os.path.dirname(path) for path in read_table(table).values()}
    if os.path.realpath(Path(output, "wav")) in map(os.path.realpath, folders):
        raise InputError(f"--output would write over recordings of --data-dir, in {output}/wav; give another --output")


def _texts(value: object) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def config_parser(description: str, sections: dict[str, type | Variants]) -> FrontParser:
    """A parser with ``--config FILE`` and one option for each field of each dataclass.

    Args:
        description: what the command does.
        sections: section name (a top-level key of the YAML) -> dataclass, or variants chosen by one field.
    """
    parser = FrontParser(
        description=description,
        config_file_parser_class=_NestedYaml,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        ignore_unknown_config_file_keys=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", is_config_file=True, help="YAML file; the command line overrides it")
    for name, cls in sections.items():
        add_section(parser, name, cls)
    return parser


def add_section(parser: configargparse.ArgumentParser, name: str, cls: type | Variants) -> None:
    """Add ``--<name>.<field>`` for every field of the dataclass ``cls``, or of all its variants."""
    group = parser.add_argument_group(name)
    if isinstance(cls, Variants):
        _add_variants(group, name, cls)
        return
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise TypeError(f"{cls.__name__}.{field.name} needs a default to become an option")
        default = field.default if field.default is not dataclasses.MISSING else field.default_factory()
        _add_option(
            group, f"{name}.{field.name}", hints[field.name], default, field.metadata.get("help", " ")
        )


def _add_option(group, dotted: str, hint: object, default: object, text: str) -> None:
    flags = list(dict.fromkeys([f"--{dotted}", f"--{dotted.replace('_', '-')}"]))
    group.add_argument(
        *flags, dest=dotted, type=_converter(hint, dotted), default=default, metavar="V", help=text
    )


def _add_variants(group, name: str, variants: Variants) -> None:
    """Options of all variants; one that is not given is not set, as its default depends on the variant."""
    kinds = "; ".join(f"{kind}: {cls.__doc__.splitlines()[0]}" for kind, cls in variants.classes.items())
    _add_option(group, f"{name}.{variants.field}", str, variants.default, kinds)
    added = {variants.field}
    for cls in variants.classes.values():
        hints = typing.get_type_hints(cls)
        for field in (field for field in dataclasses.fields(cls) if field.name not in added):
            added.add(field.name)
            owners = variants.owners(field.name)
            some = f"{', '.join(owners)}: " if len(owners) < len(variants.classes) else ""
            text = f"{some}{field.metadata['help']} (default: {field.default})"
            _add_option(group, f"{name}.{field.name}", hints[field.name], argparse.SUPPRESS, text)


def _converter(hint: object, dotted: str) -> Callable[[str], object]:
    """Text to the type of a dataclass field: numbers, booleans, strings, tuples of those, or none."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    optional = False
    if origin in (typing.Union, types.UnionType):
        optional = type(None) in arguments
        (hint,) = [argument for argument in arguments if argument is not type(None)]
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)

    def convert(text: object) -> object:
        if not isinstance(text, str):
            return text
        if optional and text.lower() in ("none", "null", ""):
            return None
        if origin is tuple:
            parts = [part.strip() for part in text.strip("()[] ").split(",") if part]
            return tuple(_scalar(arguments[0], part, dotted) for part in parts)
        return _scalar(hint, text, dotted)

    return convert


def _scalar(kind: object, text: str, dotted: str) -> object:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float):
            value = float(text)  # 1e6 is an integer to people
            if not abs(value) < float("inf"):
                raise ValueError
            if kind is int and (value != int(value) or abs(value) >= LARGEST_INTEGER):
                raise ValueError
            return kind(value)
        return kind(text)
    except (ValueError, KeyError, OverflowError) as error:
        name = getattr(kind, "__name__", kind)
        raise argparse.ArgumentTypeError(f"{dotted}: expected {name}, got {text!r}") from error


def add_prompt_encoding(parser: FrontParser) -> None:
    """Options of fronts that prompt with the beginnings of utterances."""
    parser.add_argument(
        "--prompt-encoding",
        default=PROMPT_ENCODING,
        help=f"{ALONE}: tokens of the prompt's seconds only; {IN_CONTEXT}: those of the whole recording, cut",
    )
    parser.add_argument("--kmeans", help=f"k-means directory of stage 1, for prompts encoded {ALONE}")


def section(args: argparse.Namespace, name: str, cls: type | Variants):
    """The dataclass instance of one section of parsed options.

    Raises:
        ValueError: an option of another variant than the chosen one, or a value that the dataclass refuses.
    """
    if isinstance(cls, Variants):
        prefix = f"{name}."
        options = vars(args).items()
        given = {key.removeprefix(prefix): value for key, value in options if key.startswith(prefix)}
        kind = given[cls.field]
        chosen = cls.of(kind, name)
        cls.refuse_foreign(kind, given, name)
        return chosen(**given)
    return cls(**{field.name: getattr(args, f"{name}.{field.name}") for field in dataclasses.fields(cls)})
