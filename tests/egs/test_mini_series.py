"""Options that egs/mini's series of runs share (local/series.sh); what else they do: test_mini_integration.py."""

import pytest

SCRIPTS = ["run_ablations.sh", "run_groups.sh", "run_options.sh", "run_systems.sh", "run_voice.sh"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_option_without_its_value_is_refused(checkout, script):
    done = checkout.run([f"./{script}", "--small", "true", "--ear"], cwd="egs/mini")
    assert done.returncode == 1 and done.stderr == f"./{script}: option --ear needs a value\n"


@pytest.mark.parametrize("script", SCRIPTS[:-1])
@pytest.mark.parametrize("value", ["1", "false && false"])
def test_what_is_neither_true_nor_false_is_refused(checkout, script, value):
    done = checkout.run([f"./{script}", "--small", value], cwd="egs/mini")
    assert done.returncode == 1 and done.stderr == f'./{script}: expected "true" or "false": --small {value}\n'


@pytest.mark.parametrize("script", SCRIPTS)
def test_other_options_are_the_engines(checkout, script):
    done = checkout.run([f"./{script}", "--no-such-option", "1"], cwd="egs/mini")
    assert done.returncode != 0 and "invalid option --no-such-option" in done.stderr
