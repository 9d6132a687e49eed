"""Options by the names of the version before go on working in this one, with a message."""

import logging
import subprocess
from pathlib import Path

import pytest

from soundstorm.bin import synthesize

FUNCTIONS = Path(__file__).resolve().parents[2] / "egs/TEMPLATE/functions"


@pytest.mark.parametrize(
    "old, new",
    [
        (["--hubert", "pretrain", "--nj", "3"], ["--ssl-model", "pretrain", "--nj", "3"]),
        (["--consistency-hubert", "x"], ["--consistency-ssl-model", "x"]),
        (
            ["--systems", "codec greedy semantic semantic_prompted text text_prompted audiolm"],
            [
                "--systems",
                "codec soundstorm_greedy soundstorm soundstorm_prompted soundstorm_text "
                "soundstorm_text_prompted audiolm",
            ],
        ),
        (["--baselines", "audiolm"], ["--acoustic-models", "soundstorm audiolm"]),
        (
            ["--baselines", "audiolm audiolm_semantic"],
            ["--audiolm-stages", "semantic coarse fine", "--acoustic-models", "soundstorm audiolm"],
        ),
        (
            ["--baselines", "audiolm_semantic"],
            ["--audiolm-stages", "semantic", "--acoustic-models", "soundstorm audiolm"],
        ),
        (["--baselines", ""], ["--acoustic-models", "soundstorm"]),
        (["--systems", "codec soundstorm_prompted"], ["--systems", "codec soundstorm_prompted"]),
        (["--systems", "codec   soundstorm_prompted "], ["--systems", "codec   soundstorm_prompted "]),
        (["--results", ""], ["--results", ""]),
        (["odd"], ["odd"]),
        ([], []),
    ],
)
def test_the_engine_knows_the_old_names(old, new):
    script = 'log() { echo "$*" >&2; }; . "$0/renamed.sh"; renamed_options "$@"; printf "%s\\n" "${renamed[@]}"'
    done = subprocess.run(["bash", "-euc", script, FUNCTIONS, *old], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == (new or [""])
    assert ("now; the old name goes with the next version" in done.stderr) == (old != new)


def test_commands_know_the_old_names(caplog):
    words = ["--data-dir", "d", "--codec", "c", "--output", "o"]
    with caplog.at_level(logging.WARNING):
        args = synthesize.get_parser().parse_args([*words, "--soundstorm", "exp/soundstorm"])
        assert args.acoustic_model == "exp/soundstorm" and "--soundstorm is called --acoustic-model now" in caplog.text
        assert synthesize.get_parser().parse_args([*words, "--soundstorm=x"]).acoustic_model == "x"
