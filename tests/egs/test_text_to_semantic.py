"""Stage 5: what is there already, and what sets, options and weights it must be of."""

import pytest

ENGINE = """
wants_status=false datadir=data expdir=exp train_set=train valid_set=dev stop_stage=5 semantic_exp=exp/kmeans
text_train_set=part text_valid_set=dev text_to_semantic_pretrain= text_to_semantic_args= text_to_semantic_config=x.yaml
text_to_semantic_exp=exp/text_to_semantic back_translation= back_translation_args= transcribe_args=
{variables}
for part in jobs sets text_to_semantic; do . "$2/$part.sh"; done
run_training() {  # <log> <front> <options>, of which the last is where it writes
    echo "runs $2"
    mkdir -p "${!#}"
    touch "${!#}"/{model.safetensors,free_running.json,semantic.scp}
}
run_one() { run_training "$@"; }
train_text_model text_to_semantic
"""
WRITER = "back_translation=conf/writer.yaml"


@pytest.fixture
def stage_5(engine_shell, tmp_path):
    """Runs the stage with these variables; returns what it ran, and its error message."""
    for name, ids in {"train": "ab", "part": "a", "other": "a", "dev": "c"}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for table in ("text", "semantic.scp"):
            (tmp_path / "data" / name / table).write_text("".join(f"{utt} x\n" for utt in ids))

    def run(*variables):
        done = engine_shell(ENGINE.replace("{variables}", "\n".join(variables)))
        return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("runs ")], done.stderr

    return run


@pytest.mark.parametrize("gone", ["model.safetensors", "free_running.json"])
def test_a_model_is_complete_with_its_weights_and_its_report(stage_5, tmp_path, gone):
    assert stage_5() == (["train_text_to_semantic"], "") and stage_5() == ([], "")
    (tmp_path / "exp/text_to_semantic" / gone).unlink()
    assert stage_5() == (["train_text_to_semantic"], "") and stage_5() == ([], "")


def test_texts_are_written_again_for_other_sets_or_options_by_a_writer_of_the_set(stage_5, tmp_path):
    everything = ["train_semantic_to_text", "back_translate", "train_text_to_semantic"]
    hotter = 'transcribe_args="--transcribe.temperature 2"'
    assert stage_5(WRITER) == (everything, "") and stage_5(WRITER) == ([], "")

    def another_model(*variables):
        return stage_5(WRITER, "text_to_semantic_exp=exp/other", *variables)[0]

    assert another_model() == everything[2:]
    for variables, expected in (
        ([hotter], everything[1:]), ([hotter], everything[2:]), (["train_set=dev", hotter], everything[1:]),
        (["text_train_set=other"], everything), (["text_train_set=part", hotter], everything[1:]),
    ):  # fmt: skip
        (tmp_path / "exp/other/free_running.json").unlink()
        assert another_model(*variables) == expected
    assert (tmp_path / "exp/writer_part/data/options.txt").exists()


def test_where_there_is_nothing_to_write_no_writer_is_trained(stage_5, tmp_path):
    ran, told = stage_5(WRITER, "text_train_set=train")
    assert ran == [] and "data/train/text has all of data/train, which leaves no text to write" in told
    assert "name a transcribed part of it by --text-train-set, or leave --back-translation out" in told
    assert "train_text_to_semantic" in stage_5(WRITER, "text_train_set=part")[0]
    (tmp_path / "exp/text_to_semantic/model.safetensors").unlink()
    assert stage_5("text_train_set=train") == (["train_text_to_semantic"], "")
