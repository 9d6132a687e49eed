"""The fuzzer in its short form, and that it sees what it looks for."""

import os
import shutil
import socket
from pathlib import Path
from random import Random

import pytest

from soundstorm.bin import common
from tests import fuzz
from tests.fuzzing import guard
from tests.fuzzing.commands import COMMANDS, Command, readers
from tests.fuzzing.mutations import mutations_of

FEW, MORE = range(2 * len(fuzz.KINDS)), range(-len(COMMANDS), 80)  # undamaged files have numbers below 0


@pytest.mark.parametrize("cases", [FEW, pytest.param(MORE, marks=pytest.mark.integration)], ids=["few", "more"])
def test_damaged_files_are_refused_or_harmless_and_undamaged_ones_accepted(recipe_inputs, cases):
    outcomes = fuzz.run_cases(0, list(cases), recipe_inputs)
    assert [outcome.case for outcome in outcomes] == list(cases)
    assert not [outcome for outcome in outcomes if outcome.result == fuzz.FAILED]
    assert {outcome.result for outcome in outcomes if outcome.case >= 0} == {fuzz.ACCEPTED, fuzz.REFUSED}
    assert {outcome.kind for outcome in outcomes if outcome.case >= 0} == set(fuzz.KINDS)


@pytest.mark.integration
def test_requests_to_the_page_and_to_the_command_that_speaks_end_in_sentences(recipe_inputs):
    outcomes = fuzz.run_cases(0, fuzz.cases_of("requests", 60), recipe_inputs)
    assert not [outcome for outcome in outcomes if outcome.result == fuzz.FAILED]
    assert {outcome.kind for outcome in outcomes} == {"requests"}


def test_every_front_and_every_kind_of_file_is_among_the_cases(recipe_inputs):
    fronts = {path.stem for path in Path(common.__file__).parent.glob("*.py")} - {"__init__", "common"}
    fuzzed = {command.name for command in COMMANDS}
    assert len(fronts) >= 10 and fronts <= fuzzed
    files = sorted(fuzz.inputs.describe(recipe_inputs))
    chosen = {fuzz.choose(0, case, files)[1:3] for case in range(500)}
    assert {kind for kind, _ in chosen} == set(fuzz.KINDS)
    assert all(readers(path) and len(mutations_of(path)) > 7 for _, path in chosen)


def test_a_case_is_a_function_of_seed_and_number(recipe_inputs):
    path, mutations = "data/acoustic.ark", mutations_of("data/acoustic.ark")
    data = (recipe_inputs / path).read_bytes()
    for mutate in mutations:
        assert mutate(data, Random("0 1")) == mutate(data, Random("0 1"))
    made = {mutate(data, Random(f"0 {case}")) for case in range(20) for mutate in mutations}
    assert len(made) > 60 and data not in {mutate(data, Random("1")) for mutate in mutations}


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    return guard.Guard(tmp_path_factory.mktemp("cache"))  # an audit hook cannot be taken away again


@pytest.mark.parametrize(
    "act, record",
    [
        (lambda: os.system("true"), "command: os.system"),
        (lambda: socket.create_connection(("127.0.0.1", 9)), "network: socket"),
        (lambda: __import__("pickle").loads(b"cos\nsystem\n."), "unpickled: "),
        (lambda: open("../outside", "w"), "outside: open for writing ../outside"),
        (lambda: os.remove("../outside"), "outside: os.remove ../outside"),
        (lambda: shutil.rmtree(".."), "outside: shutil.rmtree"),
    ],
)
def test_the_guard_sees_and_stops_what_data_must_not_do(watch, tmp_path, monkeypatch, act, record):
    (tmp_path / "case").mkdir()
    monkeypatch.chdir(tmp_path / "case")
    watch.start(tmp_path / "case")
    try:
        with pytest.raises(PermissionError):
            act()
        open("inside", "w").close()
    finally:
        acts = watch.stop()
    assert len(acts) == 1 and acts[0].startswith(record)


@pytest.mark.parametrize(
    "front, result, message",
    [
        ("raise KeyError('x')", fuzz.FAILED, "traceback: "),
        ("from soundstorm.data.errors import InputError; raise InputError('x.scp: no')", fuzz.REFUSED, "x.scp: no"),
        ("while True: pass", fuzz.FAILED, "hang: "),
        ("pass", fuzz.ACCEPTED, ""),
    ],
)
def test_the_outcomes_are_told_apart(monkeypatch, front, result, message):
    def load(command):
        return lambda: common.run_front(lambda _: exec(front))

    monkeypatch.setattr(fuzz, "load", load)
    monkeypatch.setattr(fuzz, "CASE_SECONDS", 0.1)
    outcome = fuzz.run_command(Command("x", "", ""))
    assert outcome[0] == result and message in outcome[1]


@pytest.mark.parametrize(
    "message, path, kind, clear",
    [
        ("data/acoustic.scp: cannot read a-1", "data/acoustic.ark", "archives", True),
        ("maximum recursion depth exceeded", "data/acoustic.json", "archives", False),
        ("model.width is 0, expected at least 1", "conf/codec.yaml", "configurations", True),
        ("DefaultCPUAllocator: can't allocate memory", "data/acoustic.ark", "archives", False),
    ],
)
def test_a_message_must_say_where(message, path, kind, clear):
    assert bool(fuzz.says_where(message, path, kind)) == clear
