"""The small preset of egs/mini from its corpus to its scores, then once more: `pytest -m integration`."""

import json
import os
import re
import wave

import pytest
import soundfile
import yaml

from soundstorm.data.validated import RECORD

from .conftest import Checkout

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400), pytest.mark.xdist_group("mini")]
SYSTEMS = {
    "codec": "Codec round trip",
    "soundstorm_greedy": "Level-wise greedy",
    "soundstorm": "SoundStorm",
    "soundstorm_prompted": "SoundStorm (3 s prompt)",
    "soundstorm_text": "SoundStorm from text in parallel",
    "soundstorm_text_prompted": "SoundStorm from text in parallel (3 s prompt)",
}


def run_small(checkout, *options):
    """Runs the preset and returns the result."""
    # One thread: two are slower than one beside another test.
    done = checkout.run(["./run_small.sh", "--train-threads", "1", *options], cwd="egs/mini", timeout=1800)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, warm_python):
    """The recipe's directory after a full run, with the run's output."""
    checkout = Checkout(tmp_path_factory.mktemp("mini") / "checkout", warm_python)
    checkout.done = run_small(checkout)
    checkout.recipe = checkout.root / "egs/mini"
    return checkout


@pytest.fixture(scope="module")
def report(recipe):
    """The report's JSON."""
    return json.loads((recipe.recipe / "exp_small/report/report.json").read_text())


@pytest.fixture(scope="module")
def metrics(report):
    """Metrics of each row of the table, over all lengths: metrics[system][metric]."""
    rows = report["sets"]["test"]["rows"]
    return {row["system"]: {name: by["all"]["value"] for name, by in row["metrics"].items()} for row in rows}


def test_every_stage_says_that_it_finished(recipe):
    for stage in range(8):
        assert f"Stage {stage}: finished in" in recipe.done.stdout


def test_tokens_know_phones_after_so_few_steps(recipe):
    (path,) = recipe.recipe.glob("exp_small/kmeans_token_recognizer*/quality.json")
    (tokens,) = json.loads(path.read_text()).values()
    assert tokens["pnmi"] > 0.7  # of so few frames; the same tokens shuffled 0.52


def test_every_level_of_the_codec_uses_most_of_its_codes(report):
    assert len(report["codebooks"]) == 4
    assert min(level["usage"] for level in report["codebooks"]) > 50


def test_every_system_makes_speech_of_the_right_length(recipe):
    durations = dict(line.split() for line in open(recipe.recipe / "data_small/test/utt2dur"))
    for system in SYSTEMS:
        table = recipe.recipe / f"exp_small/soundstorm/decode_{system}/test/wav.scp"
        lines = table.read_text().splitlines()
        assert lines, system
        for utterance, path in (line.split() for line in lines):
            with wave.open(str(recipe.recipe / path)) as wav:
                seconds = wav.getnframes() / wav.getframerate()
            if "_text" in system:
                assert 0.1 < seconds < 60
            else:
                assert abs(seconds - float(durations[utterance])) < 0.05, (system, utterance)


def test_the_recogniser_reads_the_originals_better_than_chance(metrics):
    assert metrics["Original"]["wer"] < 80


def test_the_codec_keeps_the_words(metrics):
    assert metrics["Codec round trip"]["wer"] < metrics["Original"]["wer"] + 40


def test_the_codec_keeps_the_voice(metrics):
    assert metrics["Codec round trip"]["voice_preservation"] > 0.75


def test_what_follows_a_prompt_resembles_its_voice(metrics):
    for system in ("SoundStorm (3 s prompt)", "SoundStorm from text in parallel (3 s prompt)"):
        assert metrics[system]["voice_preservation"] > 0.5


def test_every_system_has_a_row(metrics):
    assert set(metrics) == {"Original", *SYSTEMS.values()}


def test_the_dialogue_is_spoken(recipe):
    with wave.open(str(recipe.recipe / "exp_small/soundstorm/dialogue/dialogue/dialogue.wav")) as wav:
        assert wav.getnframes() > wav.getframerate()


def test_the_listening_page_plays_every_system(recipe):
    folder = recipe.recipe / "exp_small/report"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<audio") >= len(SYSTEMS) + 1
    for name in SYSTEMS.values():
        assert name in page
    assert "http://" not in page and "https://" not in page


def test_the_readme_s_speak_section_speaks(recipe):
    """With the small preset's models and voices instead of the recipe's."""
    section = (Checkout.source / "README.md").read_text().split("\n## Speak\n")[1].split("\n## ")[0]
    (command,), (program,) = (re.findall(f"```{kind}\n(.*?)```", section, re.S) for kind in ("bash", "python"))
    voice = (recipe.recipe / "data_small/test/wav.scp").read_text().split()[1]
    for words in (["bash", "-c", command], ["python3", "-c", program]):
        words[-1] = re.sub(r"egs/mini/corpus/wav/test/\S+?\.wav", f"egs/mini/{voice}", words[-1])
        done = recipe.run([word.replace("egs/mini/exp/", "egs/mini/exp_small/") for word in words], timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        for name in ("words.wav", "dialogue.flac", "converted.wav") if words[0] == "python3" else ("words.wav",):
            wav, rate = soundfile.read(recipe.root / name)
            assert len(wav) > 0.3 * rate and abs(wav).max() > 0, name
            (recipe.root / name).unlink()


def test_ablations_are_trained_scored_and_compared_and_what_is_there_is_not_made_again(recipe):
    steps = "--training.max-steps 4 --training.valid-every 4 --training.save-every 4"
    command = ["./run_ablations.sh", "--small", "true", "--seeds", "0 1", "--soundstorm-args", steps]
    command += ["--variants", "paper grid0.5_guidance", "--train-threads", "1"]
    done = recipe.run(command, cwd="egs/mini", timeout=900)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe.recipe / "exp_small/RESULTS_ablations.md").read_text()
    for start in ("| `paper` |", "| `grid0.5_guidance` |"):
        assert results.count(start) == 4  # both systems, and the seeds of each
    assert "with 95 % intervals" in " ".join(results.split()) and "closed:exp_small/recognizer" in results
    (recipe.recipe / "exp_small/RESULTS_ablations.md").unlink()
    done = recipe.run(command, cwd="egs/mini", timeout=300)
    assert done.stdout.count("complete, nothing to do") == 16 and "finished in" not in done.stdout
    assert (recipe.recipe / "exp_small/RESULTS_ablations.md").read_text() == results


def test_all_systems_stand_in_one_table_and_what_is_there_is_not_made_again(recipe):
    command = ["./run_systems.sh", "--small", "true", "--train-threads", "1"]
    command += ["--models", "mask_diffusion", "--variants", "soundstorm_unet"]  # of each kind of row one
    done = recipe.run(command, cwd="egs/mini", timeout=1200)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe.recipe / "exp_small/RESULTS_systems.md").read_text()
    table = results[results.index("| System | WER % | difference |") :].split("\n\n")[0].splitlines()
    rows = {cells[0]: cells for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:])}
    diffusion = [f"Mask diffusion by its posterior, {passes} passes" for passes in (51, 26, 11)]
    diffusion.insert(0, "Mask diffusion, 100 passes")
    tokens = ["SoundStorm", "SoundStorm, unet", *diffusion]
    text = ["SoundStorm from text", "SoundStorm from text in parallel"]
    assert list(rows) == ["Original", "Codec round trip", *tokens, *text]
    for name, (_, wer, difference, *_, training, rtf, passes) in rows.items():
        spoken, base = name in tokens + text, name in ("SoundStorm", "SoundStorm from text")
        assert float(wer.split()[0]) >= 0 and ("[" in difference) == (spoken and not base), name
        assert ("× 1" in training) == (passes != "-") == spoken and (rtf != "-") == (name != "Original"), name
    passes = [rows[name][-1] for name in ("SoundStorm", *diffusion)]
    assert passes == ["7", "100", "51", "26", "11"]
    (recipe.recipe / "exp_small/RESULTS_systems.md").unlink()
    done = recipe.run(command, cwd="egs/mini", timeout=300)
    for stage in (4, 5, 6):
        assert f"Stage {stage}: complete, nothing to do" in done.stdout
    assert (recipe.recipe / "exp_small/RESULTS_systems.md").exists()
    done = recipe.run([*command[:-1], ""], cwd="egs/mini", timeout=300)  # --variants: none, and nothing else is newer
    assert done.returncode == 0, done.stderr[-3000:]
    assert "SoundStorm, unet" not in (recipe.recipe / "exp_small/RESULTS_systems.md").read_text()


def test_options_of_decoding_are_compared_and_what_is_there_is_not_made_again(recipe):
    command = ["./run_options.sh", "--small", "true", "--ear", "train", "--train-threads", "1"]
    command += ["--variants", "iterations16 iterations1 paper iterations4_guidance1"]
    done = recipe.run(command, cwd="egs/mini", timeout=900)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe.recipe / "exp_small/RESULTS_options.md").read_text()
    rows = {line.split("`")[1]: line for line in results.splitlines() if line.startswith("| `")}
    assert [row.split()[-2] for row in rows.values()] == ["19", "4", "19", "14"]  # passes; with guidance twice 4 + 3
    for heading in ("WER %, second opinion", "Voice preservation", "DNSMOS", "Real-time factor"):
        assert heading in results
    assert "`exp_small/recognizer` and `closed:exp_small/recognizer`" in results
    (recipe.recipe / "exp_small/RESULTS_options.md").unlink()
    done = recipe.run(command, cwd="egs/mini", timeout=300)
    assert done.stdout.count("complete, nothing to do") == 8 and "finished in" not in done.stdout
    assert (recipe.recipe / "exp_small/RESULTS_options.md").read_text() == results


def test_fronts_from_text_are_compared(recipe):
    """The parallel model is trained where it is missing."""
    command = ["./run_options.sh", "--small", "true", "--ear", "train", "--train-threads", "1"]
    command += ["--systems", "soundstorm_text soundstorm_masked_text"]
    command += ["--variants", "autoregressive passes4 recorded_durations"]
    done = recipe.run(command, cwd="egs/mini", timeout=900)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    results = (recipe.recipe / "exp_small/RESULTS_options.md").read_text()
    (table,) = results.split("## From text")[1:]
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    assert list(rows) == ["autoregressive", "passes4", "recorded_durations"]
    assert "[" not in rows["autoregressive"] and all("[" in row for row in list(rows.values())[1:])
    command[-1] = "iterations16"
    done = recipe.run(command, cwd="egs/mini", timeout=60)
    assert done.returncode == 1 and "no variant is both" in done.stderr


def test_time_to_quality_is_measured_of_what_is_trained_for_it(recipe):
    """Without the peer, which is no part of the environment."""
    program = str(Checkout.source / "tests/benchmarks/quality.py")
    command = ["python3", program, "--expdir", "exp_small", "--data-dir", "data_small"]
    command += ["--recognizer", "closed:exp_small/recognizer", "--steps", "3", "--batches", "2", "--utterances", "2"]
    command += ["--iterations", "3", "1", "--repeats", "1", "--threads", "1", "--output", "exp_small/quality.md"]
    done = recipe.run(command, cwd="egs/mini", timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (recipe.recipe / "exp_small/quality.md").read_text().strip() == done.stdout.strip()
    rows = [line for line in done.stdout.splitlines() if line.startswith("| soundstorm, ")]
    assert [row.split(" | ")[:2] for row in rows] == [["| soundstorm, 3", "3"], ["| soundstorm, 1", "3"]]
    assert "2 utterances of test, read by `closed:exp_small/recognizer`" in done.stdout


def test_the_recorded_results_are_left_alone(recipe):
    original = Checkout.source / "egs/mini/RESULTS.md"
    copy = recipe.recipe / "RESULTS.md"
    assert copy.exists() == original.exists()
    assert not copy.exists() or copy.read_text() == original.read_text()


def test_a_second_run_has_nothing_to_do_and_changes_no_file(recipe):
    def files():  # but the record of what was checked, which tables of later stages make old
        paths = (path for path in recipe.recipe.rglob("*") if path.is_file() and path.name != RECORD)
        return {path: path.stat().st_mtime_ns for path in paths}

    before = files()
    done = run_small(recipe)
    for stage in range(8):
        assert f"Stage {stage}: complete, nothing to do" in done.stdout
    after = files()
    assert {str(p) for p in after if after[p] != before.get(p)} == set()
    assert set(before) == set(after)


def test_another_script_is_spoken_and_other_models_are_packed(recipe):
    exp = recipe.recipe / "exp_small"
    spoken, packed = exp / "soundstorm/dialogue/dialogue/dialogue.json", (exp / "pack/pack.json").read_bytes()
    first = json.loads(spoken.read_text())["turns"]
    (recipe.recipe / "dialogue.txt").write_text("A: one two\nB: three\n")
    os.utime(exp / "soundstorm/model.safetensors")
    options = ["--stage", "6", "--systems", "codec", "--dialogue-script", "dialogue.txt"]
    run_small(recipe, *options, "--decode-tag", "again")
    assert [turn["text"] for turn in json.loads(spoken.read_text())["turns"]] == ["one two", "three"] != first
    (old,) = exp.glob("pack_*")
    assert (old / "pack.json").read_bytes() == packed and (exp / "pack/pack.json").exists()
    done = run_small(recipe, *options, "--decode-tag", "again")
    for stage in (6, 7):
        assert f"Stage {stage}: complete, nothing to do" in done.stdout


def test_another_ear_scores_what_is_there_again(recipe):
    done = run_small(recipe, "--stage", "7", "--recognizer", "train")
    scores = sorted((recipe.recipe / "exp_small/soundstorm/score/test").glob("*.json"))
    assert [score.stem for score in scores] == sorted(["original", *SYSTEMS])
    for score in scores:
        assert f"score of {score.stem} on test" in done.stdout
        assert json.loads(score.read_text())["settings"]["recognizers"] == ["exp_small/recognizer"]
    assert "Recogniser: `exp_small/recognizer`;" in (recipe.recipe / "exp_small/report/RESULTS.md").read_text()
    done = run_small(recipe, "--stage", "7", "--recognizer", "train")
    assert "Stage 7: complete, nothing to do" in done.stdout


def test_groups_of_hificodec_are_trained_scored_and_compared_and_neither_trained_nor_scored_again(recipe):
    """The last test here: the acoustic tokens of the data are then those of its codecs. Discriminators are heard from
    the first step on.
    """
    pytest.importorskip("espnet2.gan_codec", reason="needs espnet")
    steps = "--training.max-steps 4 --training.valid-every 4 --training.save-every 4"
    small = "--model.kernels 3 --loss.discriminator-start 0 --loss.wave-max-channels 16 --loss.stft-channels 2"
    command = ["./run_groups.sh", "--small", "true", "--seeds", "0", "--codec-config", "conf/train_codec_hifi.yaml"]
    command += ["--codec-args", f"{steps} {small}", "--soundstorm-args", steps, "--train-threads", "1"]
    done = recipe.run(command, cwd="egs/mini", timeout=900)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    for name, groups in (("1x4", 1), ("2x2", 2)):
        codec = recipe.recipe / f"exp_small/codec_groups_hifi_{name}_0"
        config = yaml.safe_load((codec / "config.yaml").read_text())
        assert (config["model"]["family"], config["model"]["groups"]) == ("hifi", groups)
        assert "discriminator/least_squares" in (codec / "metrics.jsonl").read_text()
    table = recipe.recipe / "exp_small/RESULTS_groups_hifi.md"
    results = table.read_text()
    assert results.startswith("# Groups of codebooks (hifi)\n")
    for name in ("1x4", "2x2"):
        assert results.count(f"| `{name}` |") == 3  # without a prompt, with one, of its codec
    table.unlink()
    done = recipe.run(command, cwd="egs/mini", timeout=300)
    assert done.returncode == 0 and not re.search("  (training: |score of )", done.stdout)
    assert table.read_text() == results
