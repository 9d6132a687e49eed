"""parse_options.sh on the command lines of its contract."""

from __future__ import annotations

import os

import pytest

SCRIPT = """#!/usr/bin/env bash
{flags}
help_message="usage: {{}} 100% of $HOME"
nj=4 name= flag=false_alarm verbose=false foo_bar=x cmd=run.py
{more}
. utils/parse_options.sh
echo "nj=${{nj}} name=${{name}} verbose=${{verbose}} foo_bar=${{foo_bar}} cmd=${{cmd}} $#:$*"
{after}
"""
DEFAULTS = {"nj": "4", "name": "", "verbose": "false", "foo_bar": "x", "cmd": "run.py"}


@pytest.fixture(params=["", "set -euo pipefail"], ids=["plain", "strict"])
def script(request, shell):
    """Run a script that sources parse_options.sh, with and without bash's strict mode."""

    def run(*arguments, more="", after="", flags=""):
        flags = f"{request.param}\n{flags}"
        shell.write("x.sh", SCRIPT.format(flags=flags, more=more, after=after))
        return shell("bash", "./x.sh", *arguments)

    return run


def line(rest="0:", **changed):
    values = " ".join(f"{name}={value}" for name, value in {**DEFAULTS, **changed}.items())
    return f"{values} {rest}\n"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], line()),
        (["--foo-bar", "V"], line(foo_bar="V")),
        (["--foo_bar", "V"], line(foo_bar="V")),
        (["--name", ""], line()),
        (["--nj", "-3"], line(nj="-3")),
        (["--nj", "1", "--nj", "2"], line(nj="2")),
        (["--verbose", "true"], line(verbose="true")),
        (["--nj", "8", "data", "--name", "y"], line("3:data --name y", nj="8")),
        (["", "--nj", "8"], line("3: --nj 8")),
        (["-x", "--nj", "8"], line("3:-x --nj 8")),
        (["--nj", "8", "--", "--name", "y"], line("2:--name y", nj="8")),
        (["--name", "--nj"], line(name="--nj")),
        (["--name", "$(echo X) `id` \"q\" 'r' $HOME \\"], line(name="$(echo X) `id` \"q\" 'r' $HOME \\")),
        (["--cmd", "run.py --mem 4G"], line(cmd="run.py --mem 4G")),
    ],
)
def test_a_command_line_sets_the_variables(script, arguments, expected):
    done = script(*arguments)
    assert (done.stdout, done.stderr, done.returncode) == (expected, "", 0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--bogus", "1"], "invalid option --bogus"),
        (["--nj=3"], "options to scripts must be of the form --name value"),
        (["--verbose", "True"], 'expected "true" or "false": --verbose True'),
        (["--nj"], "option --nj needs a value"),
        (["--config"], "option --config needs a value"),
        (["--config", "missing.conf"], "cannot read the file of --config missing.conf"),
        (["--cmd", ""], "empty argument to --cmd option"),
        (["--a[0]", "1"], "invalid option --a[0]"),
        (["--x$(touch broken)", "1"], "invalid option"),
        (["--_po-set", "1"], "invalid option --_po-set"),
        (["--UID", "0"], "readonly"),
    ],
)
def test_a_wrong_command_line_ends_the_script(script, shell, arguments, message):
    done = script(*arguments)
    assert (done.stdout, done.returncode) == ("", 1)
    assert message in done.stderr
    assert not (shell.root / "broken").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--nj", "8", "--help"]])
def test_help_goes_to_stdout_as_it_is(script, shell, arguments):
    done = script(*arguments)
    assert (done.stdout, done.stderr, done.returncode) == (
        f"usage: {{}} 100% of {os.environ['HOME']}\n",
        "",
        0,
    )


def test_without_a_help_message_help_says_so(script):
    done = script("--help", more="unset help_message")
    assert (done.stdout, done.returncode) == ("No help for ./x.sh\n", 0)


def test_the_command_line_wins_over_a_configuration(script, shell):
    shell.write("a.conf", "nj=10\nname=a\n")
    shell.write("b.conf", "name=b\n")
    done = script("--nj", "3", "--config", "a.conf", "--config", "b.conf", "data")
    assert done.stdout == line("1:data", nj="3", name="b")


def test_a_configuration_counts_even_after_the_arguments(script, shell):
    shell.write("a.conf", "nj=10\n")
    assert script("data", "--config", "a.conf").stdout == line("3:data --config a.conf", nj="10")


def test_a_configuration_is_not_looked_for_in_the_path(script, shell):
    shell.write("bin/a.conf", "nj=666\n")
    shell.write("a.conf", "nj=10\n")
    assert script("--config", "a.conf", flags='PATH="$PWD/bin:$PATH"').stdout == line(nj="10")


def test_a_value_that_reads_config_is_a_value(script):
    assert script("--name", "--config").stdout == line(name="--config")


def test_the_variables_of_the_caller_stay_as_they_are(script, shell):
    shell.write("a.conf", "nj=10\n")
    names = "oldval was_bool argpos argpos_plus1"
    before = "; ".join(f"{name}=mine" for name in names.split())
    after = "; ".join(f'echo "{name}=${name}"' for name in names.split())
    done = script("--config", "a.conf", more=before, after=after)
    assert done.stdout.splitlines()[1:] == [f"{name}=mine" for name in names.split()]


def test_a_caller_with_an_option_config_learns_the_file(script, shell):
    shell.write("a.conf", "nj=10\n")
    done = script("--config", "a.conf", more="config=", after='echo "${config}"')
    assert done.stdout.splitlines()[1] == "a.conf"


def test_nothing_is_left_behind(script):
    done = script("--nj", "3", after="declare -F; compgen -v | grep _po || true")
    assert done.stdout == line(nj="3")
