"""The engine's options are a decision each: their list stands in a file that is changed with them."""

import re
from pathlib import Path

LIST = Path(__file__).with_name("engine_options.txt")


def test_adding_an_option_is_a_decision(checkout):
    shown = checkout.run(["./run.sh", "--help"], cwd="egs/mini")
    assert shown.returncode == 0, shown.stderr
    found = sorted(re.findall(r"^  --([\w-]+)", shown.stdout, re.MULTILINE))
    known = LIST.read_text(encoding="utf-8").split()
    added, gone = sorted(set(found) - set(known)), sorted(set(known) - set(found))
    assert found == known, (
        f"the engine has options that are not in the list: {added}, and lacks some that are: {gone}; "
        f"adding an option is a decision: edit tests/egs/{LIST.name} (sorted) if it is meant"
    )
