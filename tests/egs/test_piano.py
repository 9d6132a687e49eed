"""Stage 0 of egs/piano: MAESTRO in its published layout, MIDI files that a stand-in plays, music made up."""

import csv
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundstorm.data.data_dir import read_segments, read_table

RECIPE = "egs/piano"
ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / RECIPE / "local"))
try:
    import pieces
finally:
    sys.path.remove(str(ROOT / RECIPE / "local"))

# Plays a file that holds the numbers of seconds of silence, sound and silence; refuses what holds anything else.
STAND_IN = f"""#!{sys.executable} -SE
import sys, wave
try:
    before, sounding, after = (int(48000 * float(word)) for word in open(sys.argv[-1]).read().split())
except ValueError:
    sys.exit("not a MIDI file")
with wave.open(sys.argv[sys.argv.index("-F") + 1], "wb") as stream:
    stream.setparams((2, 2, int(sys.argv[sys.argv.index("-r") + 1]), 0, "NONE", "NONE"))
    tone = bytes([0, 16] * 100 + [0, 240] * 100)  # of both channels, 480 Hz
    stream.writeframes(bytes(4 * before) + tone * (sounding // 100) + bytes(4 * after))
"""


@pytest.fixture
def program(tmp_path):
    """A folder for the PATH with the stand-in for FluidSynth, and a sound font beside it."""
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "fluidsynth").write_text(STAND_IN)
    (folder / "fluidsynth").chmod(0o755)
    (folder / "some font.sf2").write_bytes(b"RIFF")
    return folder


def prepare(checkout, *options, program=None):
    path = checkout.environment()["PATH"]
    variables = {"PATH": f"{program}{os.pathsep}{path}"} if program else {}
    if program:
        options = (*options, "--soundfont", program / "some font.sf2")
    return checkout.run(["local/data.sh", *map(str, options)], cwd=RECIPE, **variables)


def table(checkout, set_name, name="utt2spk"):
    return read_table(checkout.root / RECIPE / "data" / set_name / name)


def write_maestro(root, rows):
    """Rows of composer, title, split, file, seconds."""
    root.mkdir(parents=True, exist_ok=True)
    columns = ["canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename", "duration"]
    with open(root / pieces.MAESTRO_TABLE, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for composer, title, split, file, seconds in rows:
            writer.writerow([composer, title, split, 2004, file.replace(".wav", ".midi"), file, seconds])
            (root / file).parent.mkdir(exist_ok=True)
            soundfile.write(root / file, np.full(int(8000 * seconds), 0.1), 8000)
    return root


ROWS = [
    ("Frédéric Chopin", "Ballade No. 1, Op. 23", "train", "2004/a.wav", 5.0),
    ("Frédéric Chopin", "Ballade No. 1, Op. 23", "train", "2006/b.wav", 4.0),
    ("Alban Berg", "Sonata, Op. 1", "train", "2004/c.wav", 1.9),
    ("Alban Berg", "Sonata, Op. 1, 2nd version", "validation", "2004/d.wav", 2.0),
    ("Franz Liszt", "Après une lecture", "test", "2004/e.wav", 7.0),
    ("Franz Liszt", "Après une lecture", "train", "2006/f.wav", 7.0),
]


def test_maestros_recordings_are_cut_into_whole_chunks_of_its_own_sets(checkout, tmp_path):
    done = prepare(checkout, "--maestro", write_maestro(tmp_path / "maestro", ROWS), "--chunk-seconds", "2")
    assert done.returncode == 0, done.stderr
    chopin = "frederic_chopin_ballade_no_1_op_23"
    assert table(checkout, "train") == {
        f"{chopin}-{name}": chopin for name in ("a-000000", "a-000200", "b-000000", "b-000200")
    }
    assert set(table(checkout, "dev").values()) == {"alban_berg_sonata_op_1_2nd_version"}
    liszt = "franz_liszt_apres_une_lecture-e"
    assert read_segments(checkout.root / RECIPE / "data/test/segments") == {
        f"{liszt}-000000": (liszt, 0.0, 2.0),
        f"{liszt}-000200": (liszt, 2.0, 4.0),
        f"{liszt}-000400": (liszt, 4.0, 6.0),
    }
    assert "1 recordings are of works of the dev or test set and left out (franz_liszt_apres_une_lec" in done.stderr
    assert "1 of 5 pieces are shorter than an utterance of their set" in done.stderr
    for name in pieces.SETS:
        done = checkout.run(["utils/validate_data_dir.sh", "--no-text", f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_set_of_fewer_chunks_takes_them_from_all_its_length(checkout, tmp_path):
    root = write_maestro(tmp_path / "maestro", ROWS)
    done = prepare(checkout, "--maestro", root, "--chunk-seconds", "1", "--train-chunks", "3", "--test-chunks", "2")
    assert done.returncode == 0, done.stderr
    assert [name[-8:] for name in table(checkout, "test")] == ["e-000000", "e-000600"]
    assert len(table(checkout, "train")) == 3 and len(set(table(checkout, "train").values())) == 2


def test_pieces_to_train_on_may_have_another_length(checkout, tmp_path):
    root = write_maestro(tmp_path / "maestro", ROWS)
    options = ["--maestro", root, "--chunk-seconds", "2", "--train-chunk-seconds"]
    assert prepare(checkout, *options, "4").returncode == 0
    assert [name[-8:] for name in table(checkout, "train")] == ["a-000000", "b-000000"]
    assert [name[-8:] for name in table(checkout, "test")] == ["e-000000", "e-000200", "e-000400"]
    for seconds, message in (("6", "no piece of train is 6 s long; see --chunk-seconds and"), ("0", "expected more")):
        done = prepare(checkout, *options, seconds)
        assert done.returncode == 1 and message in done.stderr, done.stderr


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda root: (root / pieces.MAESTRO_TABLE).unlink(), "maestro-v3.0.0.csv is missing. MAESTRO v3.0.0 is"),
        (lambda root: (root / "2006/f.wav").unlink(), "2006/f.wav is missing"),
        (lambda root: (root / "2006/b.wav").write_bytes(b"RIFF"), "2006/b.wav: cannot be read as audio"),
        (lambda root: write_maestro(root, [(*ROWS[0][:2], "eval", *ROWS[0][3:])]), "split is 'eval', expected one of"),
        (lambda root: (root / pieces.MAESTRO_TABLE).write_text("a,b\n1,2\n"), "no column canonical_composer"),
        (lambda root: write_maestro(root, ROWS[:4]), "no piece of train is 24 s long; see --chunk-seconds"),
    ],
)
def test_what_is_not_maestro_is_reported(checkout, tmp_path, change, message):
    root = write_maestro(tmp_path / "maestro", ROWS)
    change(root)
    done = prepare(checkout, "--maestro", root)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("local/data.sh: ")


def write_midi(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MIDI = {f"Work_{name}.mid": "0 5 0" for name in "AB"} | {
    "Suite_cut_mov_1.mid": "0.5 3.2 0.5",
    "Suite_cut_mov_2.MIDI": "0 2 0",
    "box/-Nocturne one.mid": "0 4 0",
}


def test_midi_files_are_played_and_whole_works_held_out(checkout, tmp_path, program):
    root = write_midi(tmp_path / "my midi", MIDI)
    options = ["--midi", root, "--chunk-seconds", "1", "--dev-works", "1", "--test-works", "2"]
    done = prepare(checkout, *options, program=program)
    assert done.returncode == 0, done.stderr
    works = {name: set(table(checkout, name).values()) for name in pieces.SETS}
    assert [len(works[name]) for name in pieces.SETS] == [1, 1, 2]
    assert set().union(*works.values()) == {"work_a", "work_b"} | {"suite", "box_nocturne_one"}
    found = {k: v for name in pieces.SETS for k, v in table(checkout, name, "wav.scp").items()}
    wav, rate = soundfile.read(found["suite-suite_cut_mov_1"])
    assert rate == 16000 and wav.ndim == 1 and len(wav) == pytest.approx(3.2 * rate, abs=rate // 50)
    assert np.abs(wav).max() == pytest.approx(0.9, abs=0.02)
    before = {path: Path(path).stat().st_mtime_ns for path in found.values()}
    assert prepare(checkout, *options, program=program).returncode == 0
    assert {path: Path(path).stat().st_mtime_ns for path in found.values()} == before  # played once


def test_recordings_of_other_music_another_rate_or_font_are_made_beside_those_there(checkout, tmp_path, program):
    options = ["--chunk-seconds", "1", "--dev-works", "1", "--test-works", "1"]
    ours = write_midi(tmp_path / "ours", MIDI)
    theirs = write_midi(tmp_path / "theirs", dict.fromkeys(MIDI, "0 6 0"))
    made = {}

    def paths(name, *changes):
        done = prepare(checkout, *options, "--datadir", name, *changes, program=program)
        assert done.returncode == 0, done.stderr
        tables = [checkout.root / RECIPE / name / set_name / "wav.scp" for set_name in pieces.SETS]
        return {recording: path for scp in tables for recording, path in read_table(scp).items()}

    for name, root, *more in (["ours", ours], ["theirs", theirs], ["24k", theirs, "--sample-rate", "24000"]):
        made[name] = paths(name, "--midi", root, *more)
    (program / "some font.sf2").write_bytes(b"another")
    made["font"] = paths("font", "--midi", ours)
    assert len({path for found in made.values() for path in found.values()}) == 4 * len(MIDI)
    lengths = {name: soundfile.info(found["work_a-work_a"]) for name, found in made.items()}
    assert [round(info.duration) for info in lengths.values()] == [5, 6, 6, 5]
    assert [info.samplerate for info in lengths.values()] == [16000, 16000, 24000, 16000]
    moved = ours.rename(tmp_path / "moved")
    os.utime(moved / "Work_A.mid")
    assert paths("moved", "--midi", moved) == made["font"]


def test_movements_of_a_work_belong_together():
    for name in ("Sonata_Xy_cut_mov_1", "Sonata_Xy_mov_2", "Sonata_Xy_cut_no_12", "Sonata_Xy_part1", "Sonata_Xy_cut"):
        assert pieces.work_name(Path(f"folder/{name}.mid")) == "folder/Sonata_Xy"
    assert pieces.work_name(Path("Sonata_No_1_Op_2.mid")) == "Sonata_No_1_Op_2"


@pytest.mark.parametrize(
    "files, options, message",
    [
        ({"readme.txt": ""}, [], "no .mid or .midi file in it or below"),
        (MIDI, ["--test-works", "3"], "expected at least 1 each and fewer than the 4 works of"),
        (MIDI | {"Work_A.mid": "broken"}, [], "Work_A.mid: FluidSynth cannot play it (not a MIDI file)"),
        (MIDI | {"Work_A.mid": "1 0 0"}, [], "Work_A.mid: nothing is to be heard of it"),
        (MIDI | {"Work a.mid": "0 5 0"}, [], "have the same name, work_a-work_a"),
        (MIDI, ["--chunk-seconds", "0"], "--chunk-seconds is 0, expected more than 0"),
    ],
)
def test_midi_files_that_make_no_sets_are_reported(checkout, tmp_path, program, files, options, message):
    root = write_midi(tmp_path / "midi", files)
    sizes = ["--chunk-seconds", "1", "--dev-works", "1", "--test-works", "1"]
    done = prepare(checkout, "--midi", root, *sizes, *options, program=program)
    assert done.returncode == 1 and message in done.stderr, done.stderr


def test_without_program_or_sound_font_it_is_said_what_to_install(checkout, tmp_path, program):
    root = write_midi(tmp_path / "midi", MIDI)
    sizes = ["--dev-works", "1", "--test-works", "1"]
    done = prepare(checkout, "--midi", root, "--soundfont", "nowhere.sf2", *sizes)
    assert done.returncode == 1 and "--soundfont: no such file nowhere.sf2" in done.stderr
    (program / "fluidsynth").unlink()
    if shutil.which("fluidsynth") is None:
        done = prepare(checkout, "--midi", root, *sizes, program=program)
        assert done.returncode == 1 and "apt-get install fluidsynth" in done.stderr


def test_music_is_made_up_alike_every_time_and_each_work_is_another(checkout, tmp_path, program):
    mido = pytest.importorskip("mido", reason="pip install -e '.[piano]'")
    sys.path.insert(0, str(ROOT / RECIPE / "local"))
    try:
        import compose
    finally:
        sys.path.remove(str(ROOT / RECIPE / "local"))
    folders = [compose.write_works(tmp_path / name, 3, 20.0, 0) for name in "ab"]
    contents = [[path.read_bytes() for path in sorted(folder.iterdir())] for folder in folders]
    assert contents[0] == contents[1] and len(set(contents[0])) == 3
    for path in folders[0].iterdir():
        midi = mido.MidiFile(path)
        assert 15 < midi.length < 21
        pitches = [message.note for message in midi if message.type == "note_on"]
        assert len(pitches) > 40 and 36 <= min(pitches) and max(pitches) <= 108
        assert len({pitch % 12 for pitch in pitches}) <= 7  # one key
