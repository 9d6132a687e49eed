"""A data directory that has not changed since it was found in order is not read again, and a changed one is."""

import builtins
import io
import json
import os
from pathlib import Path

import pytest

from soundstorm.data import validated
from soundstorm.data.data_dir_check import DataDirError, validate_data_dir
from soundstorm.data.validated import RECORD, validate_changed


def write_set(root, count):
    root.mkdir(exist_ok=True)
    ids = [f"s{number // 100:05d}-u{number:07d}" for number in range(count)]
    speakers = {}
    for utt in ids:
        speakers.setdefault(utt[:6], []).append(utt)
    tables = {
        "utt2spk": {utt: utt[:6] for utt in ids},
        "spk2utt": {speaker: " ".join(utts) for speaker, utts in speakers.items()},
        "text": dict.fromkeys(ids, "some words that somebody says"),
        "wav.scp": {utt: f"/audio/{utt}.flac" for utt in ids},
        "utt2dur": dict.fromkeys(ids, "3.25"),
    }
    for name, table in tables.items():
        (root / name).write_text("".join(f"{key} {value}\n" for key, value in table.items()))
    return root


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path / "set", 300)


@pytest.fixture
def checks(monkeypatch):
    """The directories that are checked table by table."""
    made = []

    def check(path, **options):
        made.append(path)
        return validate_data_dir(path, **options)

    monkeypatch.setattr(validated, "validate_data_dir", check)
    return made


def settle(root):
    """As if the tables had been there for a while when they were checked."""
    record = json.loads((root / RECORD).read_text())
    (root / RECORD).write_text(json.dumps(record | {"time": record["time"] + 10 * validated.SETTLED_NS}))


@pytest.mark.parametrize("settled", [False, True])
def test_an_unchanged_directory_is_checked_once_and_says_the_same(root, checks, settled):
    first = validate_changed(root, require=["wav.scp"])
    if settled:
        settle(root)
    assert validate_changed(root, require=["wav.scp"]) == first == validate_data_dir(root) and len(checks) == 1
    for path in (root / "text", root / "wav.scp"):  # touched, as by a copy
        os.utime(path)
    assert validate_changed(root, require=["wav.scp"]) == first and len(checks) == 1


def spoil_in_place(root):
    """The same size and time of change."""
    before = (root / "utt2dur").stat()
    content = (root / "utt2dur").read_text().replace("3.25", "-3.2", 1)
    (root / "utt2dur").write_text(content)
    os.utime(root / "utt2dur", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        spoil_in_place,
        lambda root: (root / "text").write_text((root / "text").read_text()[:-1]),
        lambda root: (root / "utt2lang").write_text("nobody en\n"),
        lambda root: (root / "wav.scp").unlink(),
        lambda root: (root / "spk2utt").write_text(""),
    ],
    ids=["in place", "newline", "one more", "one less", "empty"],
)
@pytest.mark.parametrize("settled", [False, True])
def test_a_change_is_found_with_the_errors_of_a_whole_check(root, change, settled):
    validate_changed(root)
    if settled:
        settle(root)
    change(root)
    with pytest.raises((DataDirError, FileNotFoundError)) as expected:
        validate_data_dir(root)
    for _ in range(2):  # what was refused is not remembered as in order
        with pytest.raises(type(expected.value)) as found:
            validate_changed(root)
        assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("option, table", [("text", "text"), ("wav", "wav.scp")])
def test_what_an_option_lets_pass_is_refused_without_it(root, option, table):
    (root / table).unlink()
    validate_changed(root, **{option: False})
    with pytest.raises(FileNotFoundError, match=table):
        validate_changed(root)


def test_other_options_other_rules_and_a_damaged_record_mean_a_new_check(root, checks, monkeypatch):
    validate_changed(root)
    with pytest.raises(FileNotFoundError, match="semantic.scp, which is required"):
        validate_changed(root, require=["semantic.scp"])
    validate_changed(root, non_print=True)
    validate_changed(root, non_print=True)
    assert len(checks) == 3
    for damaged in ("", "[]", "{}", json.dumps(json.loads((root / RECORD).read_text()) | {"summary": {"x": 1}})):
        (root / RECORD).write_text(damaged)
        validate_changed(root, non_print=True)
    assert len(checks) == 7
    monkeypatch.setattr(validated, "_rules", lambda: "newer")
    validate_changed(root, non_print=True)
    assert len(checks) == 8


@pytest.fixture
def opened(root, monkeypatch):
    """Names of the files of the directory that are opened."""
    names, real = [], open

    def watch(path, *args, **options):
        if Path(path).parent == root:
            names.append(Path(path).name)
        return real(path, *args, **options)

    for module in (builtins, io):
        monkeypatch.setattr(module, "open", watch)
    return names


def test_a_second_start_opens_no_table_and_a_copy_is_read_only_where_it_was_touched(root, opened):
    validate_changed(root)
    assert {"utt2spk", "spk2utt", "text", "wav.scp", "utt2dur"} < set(opened)
    settle(root)
    opened.clear()
    validate_changed(root)
    assert opened == [RECORD]
    os.utime(root / "text")
    opened.clear()
    validate_changed(root)
    assert opened == [RECORD, "text"]
