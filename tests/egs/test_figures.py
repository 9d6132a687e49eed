"""What --figures asks the fronts for."""

import subprocess

DRAW = """
set -euo pipefail
. "$1/jobs.sh"
. "$1/extras.sh"
measure() { printf '%s\\n' "$@"; }
made_by() { true; }
decode_config=conf/decode.yaml datadir=data test_set_names=(test) text_train_set=train codec_model=exp/codec
main_exp=exp/soundstorm semantic_exp=exp/kmeans recognizer_names=(train) wants_status=false
recognizer_named() { echo "exp/$1"; }
prompt_seconds=1.5 iterations_args=$2
draw_figure iterations exp/iterations.json
"""


def test_iterations_are_measured_after_a_prompt_as_the_papers_are(repository):
    for more, expected in (("", "1.5"), ("--prompt-seconds 0", "0")):
        command = ["bash", "-c", DRAW, "bash", repository / "egs/TEMPLATE/functions", more]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert words[2] == "measure_iterations"
        (*_, seconds) = (value for option, value in zip(words, words[1:]) if option == "--prompt-seconds")
        assert seconds == expected


GO_ON = DRAW.replace("measure()", "cd $3; measure()").replace("made_by() { true; }", "log() { :; }")


def test_speech_of_an_interrupted_figure_is_gone_on_with_only_by_the_same_options(repository, tmp_path):
    left = tmp_path / "exp/iterations/decode_1"
    for more, there in (("--repeats 1", False), ("--repeats 1", True), ("--repeats 2", False), ("--repeats 2", True)):
        command = ["bash", "-c", GO_ON, "bash", repository / "egs/TEMPLATE/functions", more, tmp_path]
        subprocess.run(command, capture_output=True, text=True, check=True)
        assert left.exists() == there
        left.mkdir(parents=True, exist_ok=True)
