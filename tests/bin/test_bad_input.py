"""What a user can give the fronts by mistake ends as one message and a failure, and what was finished stays valid."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundstorm.bin.common import run_front
from soundstorm.data.archive import TokenArchive

SEMANTIC = "extract_semantic_tokens --data-dir data --kmeans kmeans --output new/x"
ACOUSTIC = "extract_acoustic_tokens --data-dir data --codec codec --output new/x"
CODEC = "train_codec --train-data data --valid-data data --config conf/codec.yaml --expdir new"
SOUNDSTORM = "train_soundstorm --train-data data --valid-data data --config conf/soundstorm.yaml --expdir"
READER = (
    "train_text_to_semantic --train-data data --valid-data data --config conf/text_to_semantic.yaml "
    "--read-utterances 0 --expdir new"
)
RECOGNIZER = "train_recognizer --train-data data --valid-data data --config conf/recognizer.yaml --expdir new"
SYNTHESIZE = "synthesize --data-dir data --from semantic --codec codec --acoustic-model soundstorm --output new"


@pytest.fixture
def recipe(recipe_inputs, tmp_path, monkeypatch):
    """A copy of the inputs to spoil, as the working directory."""
    shutil.copytree(recipe_inputs, tmp_path / "recipe")
    monkeypatch.chdir(tmp_path / "recipe")
    return tmp_path / "recipe"


@pytest.fixture
def ends(capsys, monkeypatch):
    """Runs a front as from the command line; returns its exit status and its last words."""

    def run(command: str) -> tuple[int, str]:
        name, *arguments = command.split()
        front = __import__(f"soundstorm.bin.{name}", fromlist=["main"])
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        status = 0
        try:
            run_front(lambda _: front.main(arguments))
        except SystemExit as end:
            status = end.code
        output = capsys.readouterr().err
        assert "Traceback" not in output
        return status, output

    return run


def refused(outcome: tuple[int, str], message: str, status: int = 1) -> None:
    """Requires the status and exactly one line that is no log, with this pattern in it."""
    said = [line for line in outcome[1].splitlines() if not re.match(r"\d{4}-\d\d-\d\d .*(INFO|WARNING)", line)]
    assert outcome[0] == status and len(said) == 1 and re.search(message, said[0]), outcome


def replace_line(path: str, key: str, line: str) -> None:
    lines = Path(path).read_text().splitlines()
    place = [number for number, old in enumerate(lines) if old.split()[0] == key][0]
    lines[place] = line
    Path(path).write_text("\n".join(lines) + "\n")


def spoil_audio(kind: str, utt: str = "a-1") -> None:
    path = Path(f"wav/{utt}.{'wav' if utt.endswith('1') else 'flac'}")
    samples, rate = soundfile.read(path)
    data = path.read_bytes()
    path.unlink()
    if kind in ("empty", "truncated", "text"):
        path.write_bytes({"empty": b"", "truncated": data[:30], "text": b"no audio\n" * 99}[kind])
    elif kind != "missing":
        if kind == "stereo":
            samples = np.stack([samples, samples], 1)
        elif kind == "nan":
            samples[9] = np.nan
        elif kind == "short":
            samples = samples[:200]
        elif kind == "silent file":
            samples = samples[:0]
        soundfile.write(path, samples, 8000 if kind == "rate" else rate, subtype="FLOAT", format="WAV")


AUDIO = {
    "missing": "wav/a-1.wav: no such recording",
    "empty": "wav/a-1.wav: cannot be read as audio",
    "truncated": "wav/a-1.wav: cannot be read as audio",
    "text": "wav/a-1.wav: cannot be read as audio",
    "rate": "wav/a-1.wav: sample rate is 8000 Hz but 16000 Hz is needed; resample",
    "stereo": "wav/a-1.wav: 2 channels but 1 is needed",
    "nan": "wav/a-1.wav: 1 samples are NaN or infinite",
    "silent file": "wav/a-1.wav: no samples",
}


SHORT = "a recording of 200 samples is shorter than one f"


@pytest.mark.parametrize("tokens", ["semantic", "acoustic"])
@pytest.mark.parametrize("kind", [*AUDIO, "short"])
def test_tokens_leave_bad_audio_out_and_name_it(recipe, ends, kind, tokens):
    spoil_audio(kind)
    status, output = ends({"semantic": SEMANTIC, "acoustic": ACOUSTIC}[tokens])
    left = "WARNING: a-1 is left out: " + AUDIO.get(kind, SHORT if tokens == "semantic" else "")
    assert status == 0 and (re.search(left, output) is not None) == (kind != "short" or tokens == "semantic")
    if kind == "short" and tokens == "acoustic":
        return  # a codec's frame is padded
    assert TokenArchive("new/x.scp").ids == ["a-2", "b-1", "b-2"]
    refused(
        ends(f"merge_tokens --data-dir data --output new/{tokens}.scp new/x.scp"), "1 of 4 utterances have no tokens"
    )
    assert not Path(f"new/{tokens}.scp").exists()


@pytest.mark.parametrize("command", [SEMANTIC, ACOUSTIC])
def test_tokens_of_bad_audio_only_are_refused(recipe, ends, command):
    for utt in ("a-1", "a-2", "b-1", "b-2"):
        spoil_audio("rate", utt)
    refused(ends(command), "new/x: not one utterance could be tokenized; see the warnings above")
    assert not list(Path("new").glob("*"))


@pytest.mark.parametrize("kind", AUDIO)
def test_training_on_bad_audio_is_refused(recipe, ends, kind):
    spoil_audio(kind)
    refused(ends(CODEC), AUDIO[kind])
    assert not Path("new/model.safetensors").exists()


def test_an_audio_header_that_promises_more_than_memory_is_refused(recipe, ends):
    data = bytearray(Path("wav/a-2.flac").read_bytes())
    data[21] |= 0x0F  # total samples: 36 bits, all ones
    data[22:26] = b"\xff" * 4
    Path("wav/a-2.flac").write_bytes(data)
    status, output = ends(SEMANTIC)
    left = "a-2 is left out: wav/a-2.flac: (cannot be read as audio|36800 samples could be read where)"
    assert status == 0 and re.search(left, output) and "a-2" not in TokenArchive("new/x.scp").ids


@pytest.mark.parametrize(
    "path, key, line, command, message",
    [
        ("data/text", "b-1", "b-1", READER, "data/text: b-1: nothing to pronounce in 1 of 4"),
        ("data/text", "b-1", "b-1 ...", READER, "data/text: b-1: nothing to pronounce in 1 of 4"),
        ("data/text", "b-1", "a-1 red", READER, "data/text, line 3: key 'a-1' is there a second time"),
        ("data/wav.scp", "b-1", "a-1 wav/b-1.wav", SEMANTIC, "data/wav.scp, line 3: key 'a-1' is there a second time"),
        ("data/text", "b-1", "c-1 one", READER, "data/text: 1 of 4 utterances have no tokens in data/semantic.scp"),
        ("data/utt2dur", "b-1", "b-1 nan", CODEC, "data/utt2dur: b-1: expected a number of seconds, got 'nan'"),
        ("data/utt2dur", "b-1", "b-1 -3", CODEC, "data/utt2dur: b-1 lasts -3 s, expected more than 0"),
    ],
)
def test_bad_tables_are_refused(recipe, ends, path, key, line, command, message):
    replace_line(path, key, line)
    refused(ends(command), message)
    assert not Path("new/model.safetensors").exists() and not list(Path().glob("new/*.scp"))


def test_audio_without_any_text_is_refused(recipe, ends):
    Path("data/text").unlink()
    refused(ends(READER), "data/text: no such file; text-to-semantic training needs transcripts|no such file data/text")
    refused(ends(RECOGNIZER), "data/text")
    from_text = SYNTHESIZE.replace("semantic ", "text --text-to-semantic text_to_semantic ", 1)
    refused(ends(from_text), "data/text")
    assert not Path("new/wav.scp").exists()


def test_text_of_some_utterances_only_is_refused_where_all_are_needed(recipe, ends):
    replace_line("data/text", "b-1", "b-2 two blue")
    Path("data/text").write_text("".join(Path("data/text").read_text().splitlines(True)[:3]))
    from_text = SYNTHESIZE.replace("semantic ", "text --text-to-semantic text_to_semantic ", 1)
    refused(ends(from_text), r"data/text: no transcript of b-1 \(and 0 more\)")


def test_a_segment_of_an_unknown_recording_is_refused(recipe, ends):
    replace_line("segmented/segments", "b-1", "b-1 c-1 0.1 0.5")
    refused(ends(ACOUSTIC.replace("data ", "segmented ", 1)), "recording c-1 of b-1 is not in wav.scp; run utils/fix")


def test_an_id_with_a_slash_never_becomes_a_path(recipe, ends):
    for path in ("data/semantic.scp", "data/acoustic.scp"):
        text = Path(path).read_text()
        Path(path).write_text(text.replace("b-2 ", "../../b-2 "))
    refused(ends(SYNTHESIZE), r"data/acoustic.scp: id '../../b-2' has other characters than .*; rename it")
    assert not Path("new").exists() and {path.name for path in recipe.parent.iterdir()} == {"recipe"}


def test_tokens_of_another_tokenizer_are_refused(recipe, ends):
    for name in ("acoustic.scp", "acoustic.json"):
        shutil.copy(f"data/{name}", f"foreign/own.{name}")
    for name in ("scp", "json", "ark"):
        shutil.copy(f"foreign/acoustic.{name}", f"data/acoustic.{name}")
    refused(ends(SYNTHESIZE), "acoustic tokens do not belong together: data/acoustic.scp has those of")
    refused(ends(SOUNDSTORM + " soundstorm"), "soundstorm/config.yaml: this experiment was started with other settings")
    merge = "merge_tokens --data-dir data --output new/x.scp dump/semantic.1.scp foreign/semantic.scp"
    refused(ends(merge), "semantic tokens do not belong together: dump/semantic.1.scp has those of")
    assert not Path("new").exists()


def test_an_archive_cut_in_half_is_refused(recipe, ends):
    data = Path("data/acoustic.ark").read_bytes()
    Path("data/acoustic.ark").write_bytes(data[: len(data) // 2])
    refused(ends(SOUNDSTORM + " new"), "data/acoustic.scp: cannot read .*; extract the tokens again")
    whole = Path("dump/semantic.1.ark").read_bytes()
    Path("dump/semantic.1.ark").write_bytes(whole[: len(whole) // 2])
    merge = "merge_tokens --data-dir data --output new/semantic.scp dump/semantic.1.scp"
    refused(ends(merge), "dump/semantic.1.scp: cannot read")
    assert not Path("new/semantic.scp").exists()


@pytest.mark.parametrize("name", ["model", "ema", "optimizer.model", "rng.0"])
def test_a_checkpoint_cut_in_half_is_refused_and_the_one_before_goes_on(recipe, ends, name):
    Path("soundstorm/model.safetensors").unlink()
    path = Path(f"soundstorm/checkpoints/step-00000002/{name}.safetensors")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(ends(SOUNDSTORM + " soundstorm"), f"step-00000002/{name}.safetensors: cannot be read .*; remove the checkp")
    shutil.rmtree(path.parent)
    status, output = ends(SOUNDSTORM + " soundstorm")
    assert status == 0 and "going on from step 1" in output and Path("soundstorm/model.safetensors").is_file()


@pytest.mark.parametrize("name", ["soundstorm", "codec", "kmeans"])
def test_weights_cut_in_half_are_refused(recipe, ends, name):
    path = Path(name, "centroids.safetensors" if name == "kmeans" else "model.safetensors")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(ends(SEMANTIC if name == "kmeans" else SYNTHESIZE), f"{name}(/model.safetensors)?: .*; .*train")
    assert not list(Path("new").glob("*.scp"))


def test_weights_that_are_not_numbers_are_refused(recipe, ends):
    path = Path("soundstorm/model.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[:-4] + np.float32(np.nan).tobytes())
    refused(ends(SYNTHESIZE), "soundstorm/model.safetensors: .* has numbers that are NaN or infinite")


@pytest.mark.parametrize("front", ["codec", "soundstorm", "text_to_semantic", "recognizer", "consistency", "hubert"])
def test_an_unknown_configuration_key_is_refused_by_every_training(recipe, ends, front):
    path = Path(f"conf/{front}.yaml")
    path.write_text(path.read_text().replace("max_steps:", "max_step:"))
    more = {"consistency": "--ssl-model hubert", "hubert": "--labels-kmeans kmeans"}.get(front, "")
    name = "pretrain_hubert" if front == "hubert" else f"train_{front}"
    outcome = ends(f"{name} --train-data data --valid-data data --config {path} {more} --expdir new")
    refused(outcome, "unknown option or configuration key 'training.max_step'; did you mean 'training.max_steps'", 2)
    assert not Path("new").exists()


def test_an_unknown_field_of_an_experiment_is_refused(recipe, ends):
    path = Path("soundstorm/config.yaml")
    path.write_text(path.read_text().replace("  kernel:", "  kernels:"))
    refused(ends(SYNTHESIZE), "soundstorm/config.yaml: model: unknown field 'kernels'; expected the fields layers, ")


@contextmanager
def full_disk(room: int):
    """No file may grow beyond ``room`` bytes: the system says so as it does for a full disk, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Command: bytes that a file may have, and the file whose presence says that the command is complete.
FULL = {
    SEMANTIC: (500, "x.scp"),
    ACOUSTIC: (500, "x.scp"),
    SYNTHESIZE: (20000, "wav.scp"),  # the tokens fit, the recordings do not
    "train_kmeans --data-dir data --features hubert --layer 1 --clusters 3 --output new": (99, "centroids.safetensors"),
    "merge_tokens --data-dir data --output new/semantic.scp dump/semantic.1.scp": (50, "semantic.scp"),
    "measure_token_quality --data-dir data --tokens data/semantic.scp --output new/quality.json": (50, "quality.json"),
    SOUNDSTORM + " new": (6000, "model.safetensors"),  # figures fit, a checkpoint does not
    "score --data-dir data --system x --recognizer recognizer --speaker none --score.quality_utterances 0 "
    "--score.num_resamples 20 --output new/x.json": (200, "x.json"),
    "report --scores score/original.json score/codec.json --output new": (3000, "report.json"),
}


@pytest.mark.parametrize("command", FULL, ids=lambda command: command.split()[0])
def test_a_full_disk_is_told_and_the_same_command_finishes_later(recipe, ends, command):
    room, complete = FULL[command]
    with full_disk(room):
        refused(ends(command), "new/.*: cannot be written .*[Ff]ile too large")
    assert not Path("new", complete).exists()
    assert ends(command)[0] == 0
    assert Path("new", complete).is_file()
    assert not [path for path in Path("new").rglob(".*") if path.name != ".backup"]


def test_a_full_disk_leaves_an_older_checkpoint_and_its_continuation_valid(recipe, ends):
    Path("soundstorm/model.safetensors").unlink()
    shutil.rmtree("soundstorm/checkpoints/step-00000002")
    with full_disk(6000):
        refused(ends(SOUNDSTORM + " soundstorm"), "cannot be written")
    assert [path.name for path in Path("soundstorm/checkpoints").glob("step-*")] == ["step-00000001"]
    status, output = ends(SOUNDSTORM + " soundstorm")
    assert status == 0 and "going on from step 1" in output


def test_an_interrupt_ends_a_front_in_one_line_with_status_130(recipe, repository):
    os.mkfifo("part.scp")
    shutil.copy("dump/semantic.1.json", "part.json")
    command = [sys.executable, "-m", "soundstorm.bin.merge_tokens"]
    command += ["--data-dir", "data", "--output", "new.scp", "part.scp"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as front:
        with open("part.scp", "w"):  # opens when the front has begun to read
            time.sleep(0.2)
            front.send_signal(signal.SIGINT)
            output = front.stderr.read()
    assert front.returncode == 130
    assert output == "merge_tokens.py: interrupted; run the same command again to go on\n"
    assert not Path("new.scp").exists()


@pytest.mark.parametrize("number, expected", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_goes_on_where_it_was(recipe, ends, number, expected):
    path = Path("conf/soundstorm.yaml")
    every = "max_steps: 2|save_every: 1|valid_every: 1"
    path.write_text(re.sub(every, lambda match: f"{match[0][:-1]}40", path.read_text()))

    def interrupt():
        while not (Path("new/metrics.jsonl").exists() and Path("new/metrics.jsonl").stat().st_size):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    status, output = ends(SOUNDSTORM + " new")
    thread.join()
    assert status == expected
    assert output.splitlines()[-1].endswith("interrupted; run the same command again to go on")
    (saved,) = Path("new/checkpoints").glob("step-*")
    step = json.loads((saved / "state.json").read_text())["step"]
    assert 0 < step < 40
    status, output = ends(SOUNDSTORM + " new")
    assert status == 0 and f"going on from step {step}" in output
