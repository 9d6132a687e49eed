"""A new recipe by egs/TEMPLATE/setup.sh, and egs/TEMPLATE/README.md followed to the letter."""

import re
import shutil

import pytest
import soundfile

from .readers import follow_readme, readme_blocks, write_corpus


def test_setup_copies_what_users_edit_and_links_the_rest(checkout):
    done = checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
    assert done.returncode == 0, done.stderr
    recipe = checkout.root / "egs/foo"
    links = {path.name for path in recipe.iterdir() if path.is_symlink()}
    files = {path.name for path in recipe.iterdir() if not path.is_symlink()}
    assert links == {"soundstorm.sh", "path.sh", "utils"}
    assert files == {"cmd.sh", "conf", "local", "run.sh"}
    assert all((recipe / name).exists() for name in links)
    assert not [path for path in (recipe / "conf").rglob("*") if path.is_symlink()]


def test_setup_refuses_a_recipe_that_exists(checkout):
    done = checkout.run(["egs/TEMPLATE/setup.sh", "egs/mini"])
    assert done.returncode == 1
    assert "egs/mini is there already" in done.stderr


def test_setup_refuses_another_place_than_beside_the_template(checkout, tmp_path):
    done = checkout.run(["egs/TEMPLATE/setup.sh", str(tmp_path / "elsewhere/foo")])
    assert done.returncode == 1
    assert "is not beside TEMPLATE" in done.stderr


def test_the_untouched_recipe_says_what_to_write(checkout):
    checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
    done = checkout.run(
        ["./run.sh", "--stop-stage", "0", "--local-data-opts", f"--corpus {checkout.root}"], cwd="egs/foo"
    )
    assert done.returncode != 0
    assert "is not written yet; egs/TEMPLATE/README.md shows how" in done.stderr


@pytest.mark.parametrize("recipe", ["TEMPLATE", "mini"])
def test_help_lists_every_option_with_its_default(checkout, recipe):
    script = checkout.root / "egs/TEMPLATE/soundstorm.sh"
    options = script.read_text(encoding="utf-8").split("# --- options\n")[1].split("# --- end of options")[0]
    names = re.findall(r"^(\w+)=", options, re.MULTILINE)
    assert len(names) > 40
    if recipe == "TEMPLATE":
        checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
        recipe = "foo"
    shown = checkout.run(["./run.sh", "--help"], cwd=f"egs/{recipe}")
    assert shown.returncode == 0, shown.stderr
    for name in names:
        option = name.replace("_", "-")
        assert re.search(rf'^  --{option} .*\(default: ".*"\)$', shown.stdout, re.MULTILINE), name


def test_help_shows_the_defaults_of_the_recipe(checkout):
    shown = checkout.run(["./run.sh", "--help"], cwd="egs/mini")
    assert re.search(r'--ssl-model .*\(default: "recognizer"\)', shown.stdout)


def test_a_model_that_the_consistency_network_cannot_read_is_refused_before_all_work(checkout):
    done = checkout.run(["./run.sh", "--ssl-model", "whisper:openai/whisper-base"], cwd="egs/mini")
    assert done.returncode == 1 and "without a prefix by --consistency-ssl-model" in done.stderr
    assert not (checkout.root / "egs/mini/data").exists()


def test_a_misspelt_option_is_named(checkout):
    done = checkout.run(["./run.sh", "--train-sett", "x"], cwd="egs/mini")
    assert done.returncode == 1
    assert "--train-sett" in done.stderr


def test_a_stage_names_the_stage_it_needs(checkout):
    done = checkout.run(["./run.sh", "--stage", "2", "--stop-stage", "2"], cwd="egs/mini")
    assert done.returncode == 1
    assert "data/train/utt2dur is missing, which stage 0 writes" in done.stderr
    assert not (checkout.root / "egs/mini/exp").exists()


def test_the_readme_takes_a_corpus_through_stage_0(readers):
    data = readers / "checkout/egs/readers/data"
    assert (data / "train/spk2utt").read_text() == (
        "anna anna-chapter1 anna-chapter2\nbert bert-chapter1 bert-chapter2\n"
    )
    assert (data / "dev/text").read_text().splitlines()[0] == "carl-chapter1 The sea says carl"
    assert (data / "test/utt2dur").read_text().split() == ["dora-chapter1", "1.25", "dora-chapter2", "1.5"]


def test_the_walk_s_data_script_takes_a_table_of_windows_and_one_voice(checkout, tmp_path):
    corpus = tmp_path / "my readers"
    lines = "".join(f"anna\tchapter{number}\tgröße\r\n" for number in range(4))
    corpus.mkdir()
    (corpus / "transcripts.tsv").write_bytes(f"\ufeff{lines}\r\n".encode())
    checkout.run(["egs/TEMPLATE/setup.sh", "egs/readers"])
    (script,) = [text for _, use, _, text in readme_blocks(checkout) if use == "file"]
    recipe = checkout.root / "egs/readers"
    (recipe / "local/data.sh").write_text(script)
    done = checkout.run(["local/data.sh", "--corpus", str(corpus)], cwd="egs/readers")
    assert done.returncode == 0, done.stderr
    assert (recipe / "data/all/text").read_text() == "".join(f"anna-chapter{n} größe\n" for n in range(4))
    assert f" {corpus}/anna/chapter0.flac\n" in (recipe / "data/train/wav.scp").read_text()
    held = {name: (recipe / f"data/{name}/utt2spk").read_text() for name in ("train", "dev", "test")}
    assert held["dev"] == "anna-chapter2 anna\n" and held["test"] == "anna-chapter3 anna\n"
    assert held["train"] == "anna-chapter0 anna\nanna-chapter1 anna\n"


def test_models_and_configurations_of_the_readme_s_commands_are_those_of_a_new_recipe(checkout):
    commands = "".join(re.findall(r"(?ms)^```bash\n(.*?)^```$", (checkout.root / "egs/TEMPLATE/README.md").read_text()))
    checkout.run(["egs/TEMPLATE/setup.sh", "egs/foo"])
    told = checkout.run(["./run.sh", "--status"], cwd="egs/foo").stdout
    models = set(re.findall(r"--(?!results)[\w-]+ (exp/[\w-]+)", commands))
    assert len(models) > 3 and [name for name in models if not re.search(rf"{name}$", told, re.MULTILINE)] == []
    settings = re.findall(r"conf/\w+\.yaml", commands)
    assert [name for name in settings if not (checkout.root / "egs/foo" / name).exists()] == []


def test_a_second_stage_0_changes_no_file(checkout, readers):
    recipe = checkout.root / "egs/readers"
    shutil.copytree(readers / "checkout/egs/readers", recipe, symlinks=True)
    before = {path: path.stat().st_mtime_ns for path in recipe.rglob("*")}
    done = checkout.run(["./run.sh", "--stage", "0", "--stop-stage", "0"], cwd="egs/readers")
    assert done.returncode == 0, done.stderr
    assert "Stage 0: complete, nothing to do" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in recipe.rglob("*")} == before


@pytest.mark.integration
def test_the_readme_converts_a_corpus_of_another_rate(checkout, tmp_path):
    write_corpus(tmp_path / "readers24", sample_rate=24000)
    (snippet,) = [text for language, use, _, text in readme_blocks(checkout) if language == "python"]
    target = tmp_path / "readers"
    done = checkout.run(["python3", "-c", snippet, str(tmp_path / "readers24"), str(target)])
    assert done.returncode == 0, done.stderr
    (target / "transcripts.tsv").write_text((tmp_path / "readers24/transcripts.tsv").read_text())
    info = soundfile.info(target / "anna/chapter1.flac")
    assert (info.samplerate, info.frames) == (16000, 20000)
    follow_readme(checkout, target)


def recipes(checkout):
    """Recipes of the repository."""
    found = [path for path in sorted((checkout.root / "egs").iterdir()) if path.name != "TEMPLATE"]
    assert found
    return found


def test_recipes_link_what_they_share(checkout):
    for recipe in recipes(checkout):
        for name, target in {
            "soundstorm.sh": "../TEMPLATE/soundstorm.sh",
            "path.sh": "../TEMPLATE/path.sh",
            "utils": "../../utils",
        }.items():
            assert (recipe / name).is_symlink(), f"{recipe.name}/{name} is a copy"
            assert (recipe / name).readlink().as_posix() == target
            assert (recipe / name).exists()


def test_recipes_have_the_template_s_cmd_sh(checkout):
    expected = (checkout.root / "egs/TEMPLATE/cmd.sh").read_text()
    for recipe in recipes(checkout):
        assert (recipe / "cmd.sh").read_text() == expected, f"egs/{recipe.name}/cmd.sh drifted from the template's"


def test_recipes_keep_run_sh_short(checkout):
    for recipe in recipes(checkout):
        assert len((recipe / "run.sh").read_text().splitlines()) <= 25
