#!/usr/bin/env python3
"""The command line of the data-directory scripts: data_dir_tool.py <script> [options] <arguments>.

The scripts beside it call it with their own name; the work is done in soundstorm/data/data_dir*.py, which is
found relative to this file and needs no installation.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soundstorm.data import (  # noqa: E402
    data_dir,
    data_dir_check,
    data_dir_derive,
    data_dir_edit,
    data_dir_replace,
    durations,
    validated,
)
from soundstorm.data.data_dir_values import FORMAT_TOOL  # noqa: E402

MIN_FOUND = 0.95  # of the utterances must get a duration

USAGE = {
    "validate_data_dir.sh": """
usage: utils/validate_data_dir.sh [options] <data-dir>
 e.g.: utils/validate_data_dir.sh --no-text data/train
Check a data directory; the exit status is 1 at the first file with faults. One that has not changed since it was
found in order (<data-dir>/.validated.json) is not read again.
  --no-text            there need not be a text; where there is one it is checked
  --no-wav             there need not be a wav.scp
  --no-feats           accepted for Kaldi's sake: features are never asked for
  --no-spk-sort        utt2spk need not be sorted by speaker
  --non-print          transcripts may have characters that do not print
  --require "a b"      these files must be there too, e.g. "semantic.scp acoustic.scp"
""",
    "fix_data_dir.sh": """
usage: utils/fix_data_dir.sh [options] <data-dir>
 e.g.: utils/fix_data_dir.sh data/train
Sort the files, drop repeated lines and keep the utterances that all files have; utterances without tokens go
where there is a semantic.scp or acoustic.scp. What is dropped is named, all of it in <data-dir>/log/fix_data_dir.log.
The old files are kept in <data-dir>/.backup.
  --utt-extra-files "a b"   more files with utterances as keys, to be filtered too
  --spk-extra-files "a b"   more files with speakers as keys
""",
    "copy_data_dir.sh": """
usage: utils/copy_data_dir.sh [options] <source-dir> <destination-dir>
 e.g.: utils/copy_data_dir.sh --utt-suffix -slow --spk-suffix -slow data/train data/train_slow
Copy a data directory, renaming utterances and speakers, and validate the copy.
  --utt-prefix P, --utt-suffix S    go before and after every utterance
  --spk-prefix P, --spk-suffix S    go before and after every speaker
  --validate-opts "..."             options of utils/validate_data_dir.sh
""",
    "subset_data_dir.sh": """
usage: utils/subset_data_dir.sh [--first|--last|--shortest|--per-spk|--speakers] <source-dir> <n> <destination-dir>
   or: utils/subset_data_dir.sh --utt-list <file> <source-dir> <destination-dir>
   or: utils/subset_data_dir.sh --spk-list <file> <source-dir> <destination-dir>
 e.g.: utils/subset_data_dir.sh --per-spk data/train 10 data/train_10each
Take n utterances, spread evenly over the sorted list unless a mode, which comes first, says otherwise.
  --first, --last      from the start, from the end
  --shortest           the shortest by utt2dur
  --per-spk            up to n of each speaker
  --speakers           whole speakers, drawn until there are n utterances
  --seed S             another draw of speakers (default 0)
  --utt-list, --spk-list   those of the first fields of a file
""",
    "combine_data.sh": """
usage: utils/combine_data.sh [options] <destination-dir> <source-dir1> <source-dir2> ...
 e.g.: utils/combine_data.sh data/train data/train_clean data/train_other
Make the destination of all sources together, with the files that all of them have. Files of a data directory that
it has already are kept in <destination-dir>/.backup; whatever else is there stays as it is.
  --extra-files "a b"       more files with utterances as keys
  --skip-fix true|false     do not end with what utils/fix_data_dir.sh does (default false)
""",
}


USAGE["format_wav_scp.sh"] = f"""
usage: utils/format_wav_scp.sh [options] <source-dir> <destination-dir> [<audio-dir>]
 e.g.: utils/format_wav_scp.sh --sample-rate 24000 data/train_raw data/train
Write the audio of a data directory to files of one channel and one rate, an utterance each, and make the directory
of those files; it may be the same one, whose old files are then kept in its .backup. wav.scp may name whatever
libsndfile reads (WAV, FLAC, OGG, MP3, SPHERE, ...), places in archives (wav.ark:1234), and commands (Kaldi's pipes);
segments are cut. A call that is repeated goes on where it was, and reads again what has another size or time since,
of a command the files that it names. What is left out is named, all of it in
<destination-dir>/log/format_wav_scp.log; where that is more than {1 - MIN_FOUND:.0%}, no directory of the rest is made.
  --audio-format F           flac or wav, of 16 bits (default flac)
  --sample-rate R, --fs R    Hz (default 16000)
  --channel C                which of several, from 1 (default: the mean of all)
  --allow-pipes true|false   run the commands that wav.scp has: only where you know them (default false)
  --nj N                     recordings that are read at once (default 4)
  <audio-dir>                where the files go (default <destination-dir>/audio)
"""


class UsageError(ValueError):
    """The command line is wrong: the usage is shown with the message."""


def parse(
    arguments: list[str], flags: list[str], values: dict[str, str]
) -> tuple[dict[str, object], list[str]]:
    """Read `--flag` and `--name value` options, which come before the other arguments.

    Unlike argparse this takes values that start with a dash, such as `--utt-suffix -slow`.

    Args:
        arguments: The command line.
        flags: Options without a value.
        values: Options with a value, and their defaults.

    Returns:
        All options by name, and the other arguments.

    Raises:
        UsageError: An option is unknown, lacks its value or comes too late.
    """
    options: dict[str, object] = {**{flag: False for flag in flags}, **values}
    rest = list(arguments)
    while rest and rest[0].startswith("--"):
        name = rest.pop(0)[2:]
        if name in flags:
            options[name] = True
        elif name not in values:
            raise UsageError(f"unknown option --{name}")
        elif not rest:
            raise UsageError(f"option --{name} needs a value")
        else:
            options[name] = rest.pop(0)
    if late := [word for word in rest if word.startswith("--")]:
        raise UsageError(f"option {late[0]} comes after the arguments; options come first")
    return options, rest


def expect(rest: list[str], *names: str) -> list[str]:
    """Require one argument for each name, none of them empty."""
    if len(rest) != len(names) or not all(rest):
        raise UsageError(f"expected {' '.join(names)}, got {' '.join(map(repr, rest)) or 'nothing'}")
    return rest


def read(path: str) -> data_dir_edit.Contents:
    """Read a directory, and say what reading has repaired."""
    contents = data_dir_edit.read_contents(path)
    warn("\n".join(contents.repairs))
    return contents


def tell(dropped: Sequence[str], directory: str) -> None:
    """Say what was dropped: the first of it here, all of it in a log in the directory."""
    if dropped:
        log = Path(directory, "log", f"{Path(script_name()).stem}.log")
        data_dir.write_log(log, dropped)
        warn("\n".join([*data_dir.first_of(dropped), f"all of this is in {log}"]))


VALIDATE_FLAGS = ["no-feats", "no-text", "no-wav", "no-spk-sort", "non-print"]


def validate_options(options: dict[str, object]) -> dict[str, object]:
    """Turn the options of validate_data_dir.sh into arguments; only those given."""
    chosen: dict[str, object] = {
        name: False
        for name, flag in (("text", "no-text"), ("wav", "no-wav"), ("spk_sort", "no-spk-sort"))
        if options[flag]
    }
    return {**chosen, "non_print": options["non-print"], "require": str(options["require"]).split()}


def validate(arguments: list[str]) -> str:
    options, rest = parse(arguments, VALIDATE_FLAGS, {"require": ""})
    (path,) = expect(rest, "<data-dir>")
    summary = validated.validate_changed(path, **validate_options(options))
    for warning in summary.warnings:
        warn(warning)
    hours = "no utt2dur to tell the" if summary.hours is None else f"{summary.hours:.2f}"
    return (
        f"Successfully validated data-directory {path}: {summary.num_utterances} utterances, "
        f"{summary.num_speakers} speakers, {hours} hours"
    )


def fix(arguments: list[str]) -> str:
    options, rest = parse(arguments, [], {"utt-extra-files": "", "spk-extra-files": ""})
    (path,) = expect(rest, "<data-dir>")
    result = data_dir_edit.fix_data_dir(
        path,
        utt_extra=str(options["utt-extra-files"]).split(),
        spk_extra=str(options["spk-extra-files"]).split(),
    )
    for note in result.notes:
        warn(note)
    tell(result.dropped, path)
    done = f"old files are kept in {path}/{data_dir_replace.BACKUP}" if result.changed else "nothing to fix"
    return f"kept {result.num_after} utterances out of {result.num_before}; {done}"


def copy(arguments: list[str]) -> str:
    names = ["utt-prefix", "utt-suffix", "spk-prefix", "spk-suffix"]
    options, rest = parse(arguments, [], {**dict.fromkeys(names, ""), "validate-opts": ""})
    source, dest = expect(rest, "<source-dir>", "<destination-dir>")
    checks, others = parse(str(options["validate-opts"]).split(), VALIDATE_FLAGS, {"require": ""})
    if others:
        raise UsageError(f"--validate-opts takes options only, got {others[0]!r}")
    contents = read(source)
    contents = data_dir_derive.rename(contents, **{name.replace("-", "_"): options[name] for name in names})
    data_dir_derive.publish(contents, Path(source), Path(dest), **validate_options(checks))
    return f"copied {len(contents.tables['utt2spk'])} utterances from {source} to {dest}"


SUBSET_MODES = ["first", "last", "shortest", "per-spk", "speakers"]


def subset(arguments: list[str]) -> str:
    lists = {"utt-list": "", "spk-list": ""}
    options, rest = parse(arguments, SUBSET_MODES, {**lists, "seed": "0"})
    modes = [name for name in (*SUBSET_MODES, *lists) if options[name]]
    if len(modes) > 1:
        raise UsageError(f"--{modes[0]} and --{modes[1]} cannot be given together; choose one")
    mode = modes[0] if modes else "spread"
    if mode in lists:
        source, dest = expect(rest, "<source-dir>", "<destination-dir>")
        contents, repairs = read(source), []
        listed = {key for key, _ in data_dir.read_lines(str(options[mode]), repairs)}
        warn("\n".join(repairs))
        utt2spk = contents.tables["utt2spk"]
        known = set(utt2spk) if mode == "utt-list" else set(utt2spk.values())
        if unknown := sorted(listed - known):
            warn(f"{len(unknown)} of {len(listed)} in {options[mode]} are not in {source}, e.g. {unknown[0]}")
        chosen = {
            key for key, speaker in utt2spk.items() if (key if mode == "utt-list" else speaker) in listed
        }
    else:
        source, number, dest = expect(rest, "<source-dir>", "<n>", "<destination-dir>")
        if not (number.isdecimal() and number.isascii() and int(number) > 0):
            raise UsageError(f"<n> must be a positive whole number, got {number!r}")
        contents = read(source)
        chosen = set(choose(contents, mode, int(number), source, str(options["seed"])))
    if not chosen:
        named = f": none of the {len(listed)} names in {options[mode]} is there" if mode in lists else ""
        raise ValueError(f"no utterance of {source} was chosen for {dest}{named}")
    smaller = data_dir_edit.keep(contents, chosen)
    # A subset can break neither of the two, and only the source's author knows whether they held.
    data_dir_derive.publish(smaller, Path(source), Path(dest), spk_sort=False, non_print=True)
    return f"reducing #utt from {len(contents.tables['utt2spk'])} to {len(smaller.tables['utt2spk'])}"


def choose(contents: data_dir_edit.Contents, mode: str, number: int, source: str, seed: str) -> list[str]:
    """Choose utterances by one of the modes that take a number."""
    utt2spk = contents.tables["utt2spk"]
    utterances = list(utt2spk)
    if mode == "per-spk":
        return data_dir_derive.spread_per_speaker(utt2spk, number)
    if number > len(utterances):
        raise ValueError(f"cannot take {number} utterances of {source}, which has {len(utterances)}")
    if mode == "speakers":
        return data_dir_derive.whole_speakers(utt2spk, number, int(seed))
    if mode == "shortest":
        if "utt2dur" not in contents.tables:
            raise FileNotFoundError(f"no such file {source}/utt2dur; run utils/get_utt2dur.sh {source}")
        return data_dir_derive.shortest(contents.tables["utt2dur"], number)
    if mode == "spread":
        return data_dir_derive.spread(utterances, number)
    return utterances[:number] if mode == "first" else utterances[-number:]


def combine(arguments: list[str]) -> str:
    options, rest = parse(arguments, [], {"extra-files": "", "skip-fix": "false"})
    if options["skip-fix"] not in ("true", "false"):
        raise UsageError(f"--skip-fix takes true or false, got {options['skip-fix']!r}")
    if len(rest) < 2:
        raise UsageError("expected <destination-dir> and at least one source")
    left_out, number, dropped = data_dir_derive.combine_data_dirs(
        Path(rest[0]),
        [Path(source) for source in rest[1:]],
        utt_extra=str(options["extra-files"]).split(),
        fix=options["skip-fix"] == "false",
    )
    for name in left_out:
        warn(f"**not combining {name} as it does not exist everywhere**")
    tell(dropped, rest[0])
    return f"combined {len(rest) - 1} directories with {number} utterances in {rest[0]}"


def format_wav_scp(arguments: list[str]) -> str:
    from soundstorm.data import format_audio  # here, so that the other tools do not wait for it

    defaults = {"audio-format": "flac", "sample-rate": "16000", "fs": "", "allow-pipes": "false", "nj": "4"}
    options, rest = parse(arguments, [], {**defaults, "channel": ""})
    for name, allowed in (("audio-format", format_audio.FORMATS), ("allow-pipes", ("true", "false"))):
        if options[name] not in allowed:
            raise UsageError(f"--{name} takes {' or '.join(allowed)}, got {options[name]!r}")
    rate, num_threads = (whole_number(options, name) for name in ("fs" if options["fs"] else "sample-rate", "nj"))
    channel = whole_number(options, "channel") if options["channel"] else None
    if len(rest) == 2:
        rest.append(f"{rest[1]}/audio")
    source, dest, audio = expect(rest, "<source-dir>", "<destination-dir>", "<audio-dir>")
    contents = read(source)
    if "wav.scp" not in contents.tables:
        raise FileNotFoundError(f"no such file {source}/wav.scp")
    wanted = format_audio.AudioFormat(rate, str(options["audio-format"]), channel, options["allow-pipes"] == "true")
    formatted, done = format_audio.format_recordings(contents, Path(audio), wanted, num_threads, warn)
    total = len(contents.tables["utt2spk"])
    said = [*done.left_out, *done.notes]
    if len(done.paths) < max(1, MIN_FOUND * total):
        tell(said, dest)
        raise ValueError(
            f"only {len(done.paths)} of {total} utterances of {source} could be written; mend what is named above, or "
            "take it out of the tables, and run this again: what is written stays"
        )
    with data_dir_replace.staged(dest) as staging:
        data_dir_edit.write_files(staging, formatted.files())
    tell(said, dest)
    return f"wrote {len(done.paths)} of {total} utterances to {audio}, {dest} names them"


def whole_number(options: dict[str, object], name: str) -> int:
    """Read an option that is a whole number of at least 1."""
    value = str(options[name])
    if not (value.isdecimal() and value.isascii() and 0 < int(value) < 10**9):
        raise UsageError(f"--{name} takes a number of at least 1, got {value!r}")
    return int(value)


def utt2dur_known(arguments: list[str]) -> str:
    """Whether get_utt2dur.sh has anything to do; says nothing where it has."""
    path, samples = expect(arguments, "<data-dir>", "true|false")
    directory = data_dir.DataDir(path)
    if directory.has("wav.scp"):
        data_dir_check.check_audio_paths(path)
    known = durations.is_known(directory, samples=samples == "true")
    return f"{path}/utt2dur is there already" if known else ""


def utt2dur_inspect(arguments: list[str]) -> str:
    """One job of get_utt2dur.sh."""
    wav_scp, samples, output, faulty = expect(arguments, "<wav.scp>", "true|false", "<found>", "<faulty>")
    found, faults = durations.inspect_all(data_dir.read_table(wav_scp), samples=samples == "true")
    for name, reason in faults.items():
        warn(f"{name}: {reason}")
    data_dir.write_table(output, found)
    data_dir.write_table(faulty, faults)
    return f"{len(found)} of {len(found) + len(faults)} recordings can be used"


def utt2dur_merge(arguments: list[str]) -> str:
    """The end of get_utt2dur.sh: put the parts together, tell what cannot be used and count it."""
    directory, jobs = data_dir.DataDir(arguments[0]), len(arguments[1:]) // 2
    faults: data_dir.Table = {}
    for part in arguments[1 + jobs :]:
        faults.update(data_dir.read_table(part))
    found = durations.read_found(arguments[1 : 1 + jobs])
    report = durations.merge(directory, found, faults, least=MIN_FOUND)
    path, num, log = directory.path, len(report.missing), directory.path / "log" / "audio_report"
    said = []
    if report.changes:
        title = f"{path}: {len(report.changes)} durations are not what its tables say"
        said += shown(title, report.changes, log)
    if report.faults:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(report.counts.items()))
        said += shown(f"{path}: {len(report.faults)} cannot be used ({kinds})", report.faults, log)
        if report.counts.keys() & {"rate", "channels"}:
            said.append(
                f"one rate and one channel for all are made by {FORMAT_TOOL}, in a recipe by --audio-format flac "
                "--sample-rate 16000"
            )
    log.unlink(missing_ok=True)
    if said:
        data_dir.write_log(log, report.changes + report.faults)
        warn("\n".join(said))
    if report.expected - num < MIN_FOUND * report.expected:
        raise ValueError(
            f"only {report.expected - num} of {report.expected} utterances of {path} got a duration, e.g. "
            f"{report.missing[0]} did not; mend what {log} names, or take it out of the tables"
        )
    if num:
        warn(
            f"{num} of {report.expected} utterances got no duration, e.g. {report.missing[0]}; "
            f"utils/fix_data_dir.sh {path} leaves them out"
        )
    return f"made {path}/utt2dur from the headers of {report.num_found} files"


def shown(title: str, lines: list[str], log: Path) -> list[str]:
    """The first lines of many, below a title."""
    return [f"{title}:", *data_dir.first_of(lines, f", see {log}")]


def place_of(arguments: list[str]) -> str:
    """Print <directory of its set>/<utterance> of an utterance, or of the first one of a set."""
    datadir, name = expect(arguments, "<datadir>", "<utterance or set>")
    own = Path(datadir, name, "utt2spk")
    for path in [own] if own.is_file() else sorted(Path(datadir).glob("*/utt2spk")):
        for key, _ in data_dir.iterate_lines(path):
            if path == own or key == name:
                print(path.parent / key)
                return ""
    raise ValueError(f"no utterance {name!r} in {datadir}/*/utt2spk")


COMMANDS = {  # the jobs of get_utt2dur.sh have no script of their own
    "validate_data_dir.sh": validate,
    "fix_data_dir.sh": fix,
    "copy_data_dir.sh": copy,
    "subset_data_dir.sh": subset,
    "combine_data.sh": combine,
    "format_wav_scp.sh": format_wav_scp,
    "utt2dur_known": utt2dur_known,
    "utt2dur_inspect": utt2dur_inspect,
    "utt2dur_merge": utt2dur_merge,
    "--dialogue-prompts": place_of,  # options of the engine
    "--dialogue-exchange": place_of,
}


def warn(message: object) -> None:
    """Say something on stderr, every line with the script's name."""
    for line in str(message).splitlines():
        print(f"{script_name()}: {line}", file=sys.stderr)


def script_name() -> str:
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    return "get_utt2dur.sh" if command.startswith("utt2dur") else command


def main(command: str, arguments: list[str]) -> int:
    if arguments and arguments[0] in ("--help", "-h"):
        print(USAGE[command].strip())
        return 0
    try:
        message = COMMANDS[command](arguments)
    except UsageError as error:
        warn(error)
        print(USAGE.get(command, "").strip(), file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        warn(error)
        return 1
    except KeyboardInterrupt:
        warn("interrupted; nothing was left half done, run the same command again")
        return 130
    if message:
        print(f"{script_name()}: {message}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: data_dir_tool.py {'|'.join(COMMANDS)} [options] <arguments>")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
