"""Stage 0 of egs/barista: Kaldi sets as they are, and a checkout of the benchmark in its published layout."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundstorm.data.data_dir import read_table, write_table
from tests.scoring.conftest import whisper_dir  # noqa: F401

RECIPE = "egs/barista"
ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / RECIPE / "local"))
try:
    import orders
    import voice_groups
finally:
    sys.path.remove(str(ROOT / RECIPE / "local"))

# As published: data/rhino/coffee_maker.yaml, with fewer openings and orders of the slots.
OPENING = "[brew, can I get, I'd like] [a, an]"
EXPRESSIONS = [
    f"{OPENING} $size:size $roast:roast $coffeeDrink:coffeeDrink",
    f"{OPENING} $roast:roast $size:size $coffeeDrink:coffeeDrink",
    f"{OPENING} $coffeeDrink:coffeeDrink with $milkAmount:milkAmount and $sugarAmount:sugarAmount",
    f"{OPENING} $coffeeDrink:coffeeDrink with $sugarAmount:sugarAmount and $milkAmount:milkAmount",
    f"{OPENING} $coffeeDrink:coffeeDrink with $milkAmount:milkAmount",
    f"{OPENING} $coffeeDrink:coffeeDrink",
]
SIZED = {"coffeeDrink": "latte", "roast": "dark roast", "size": "eight ounce"}


def prepare(checkout, *options):
    return checkout.run(["local/data.sh", *map(str, options)], cwd=RECIPE, timeout=300)


def table(checkout, set_name, name="utt2spk"):
    return read_table(checkout.root / RECIPE / "data" / set_name / name)


def write_wav(path, seed=0, seconds=0.4):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.1, 0.1, int(16000 * seconds)), 16000)


def write_data_dir(directory, names, *, text=True):
    """Utterances `<speaker>-<number>`, whose recordings lie beside the tables."""
    for number, name in enumerate(names):
        write_wav(directory / f"{name}.wav", number)
    write_table(directory / "wav.scp", {name: f"{name}.wav" for name in names})
    write_table(directory / "utt2spk", {name: name.split("-")[0] for name in names})
    if text:
        write_table(directory / "text", {name: f"brew a mocha {name[-1]}" for name in names})
    return directory


# ------------------------------------------------------------------------------------------------- Kaldi data


SETS = {"train": ["a-1", "a-2", "b-1"], "dev": ["a-3"], "test": ["c-1", "c-2"]}


def write_pack(root):
    """One data directory beside whose wav.scp lists say what is of which set."""
    write_data_dir(root / "kaldi", [name for names in SETS.values() for name in names])
    for name, names in SETS.items():
        (root / "kaldi" / f"split_{name}.utts").write_text("".join(f"{utt}\n" for utt in names))
    return root


def test_kaldi_sets_are_taken_as_they_are_and_extra_data_join_the_set_without_transcripts(checkout, tmp_path):
    extra = write_data_dir(tmp_path / "extra", ["x-1", "y-1"])
    more = write_data_dir(tmp_path / "more", ["z-1"], text=False)
    source = write_pack(tmp_path / "pack")
    done = prepare(checkout, "--source", source, "--extra-data", extra, "--extra-data", more)
    assert done.returncode == 0, done.stderr
    for name, utterances in SETS.items():
        assert sorted(table(checkout, name)) == utterances
        assert table(checkout, name, "text") == {utt: f"brew a mocha {utt[-1]}" for utt in utterances}
    assert sorted(table(checkout, "train_all")) == ["a-1", "a-2", "b-1", "x-1", "y-1", "z-1"]
    assert not (checkout.root / RECIPE / "data/train_all/text").exists()
    for name, options in {**dict.fromkeys(SETS, []), "train_all": ["--no-text"]}.items():
        done = checkout.run(["utils/validate_data_dir.sh", *options, f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_of_data_directories_will_do(checkout, tmp_path):
    for name, utterances in SETS.items():
        write_data_dir(tmp_path / "sets" / name, utterances)
    done = prepare(checkout, "--source", tmp_path / "sets")
    assert done.returncode == 0, done.stderr
    assert {name: sorted(table(checkout, name)) for name in SETS} == SETS
    assert sorted(table(checkout, "train_all")) == SETS["train"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("split_dev.utts", None, "kaldi/split_dev.utts is there; pass a checkout"),
        ("split_dev.utts", "nobody\n", "split_dev.utts names no utterance"),
        ("text", "a-1 brew\n", "no transcript of a-2 (and 1 more of train)"),
        ("wav.scp", None, "neither data/label/label.json nor train/wav.scp is there"),
    ],
)
def test_what_is_neither_checkout_nor_kaldi_sets_is_reported(checkout, tmp_path, name, content, message):
    path = write_pack(tmp_path / "pack") / "kaldi" / name
    path.unlink() if content is None else path.write_text(content)
    done = prepare(checkout, "--source", tmp_path / "pack")
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_no_source_is_reported_with_where_it_is_published(checkout):
    done = prepare(checkout)
    assert done.returncode == 1
    assert "--source is missing; pass a checkout (git clone https://github.com/Picovoice" in done.stderr


# -------------------------------------------------------------------------------------------------- sentences


def test_a_label_allows_the_orders_of_its_slots_and_all_openings():
    assert sorted(orders.sentences(EXPRESSIONS, SIZED)) == sorted(
        f"{opening} {words} latte"
        for opening in ("brew", "can i get", "i'd like")
        for words in ("an eight ounce dark roast", "a dark roast eight ounce")
    )
    assert orders.sentences(EXPRESSIONS, {"coffeeDrink": "mocha", "milkAmount": " soy milk"}) == [
        "brew a mocha with soy milk", "can i get a mocha with soy milk", "i'd like a mocha with soy milk"
    ]  # fmt: skip
    assert orders.sentences(EXPRESSIONS, {"coffeeDrink": "mocha", "roast": "dark roast"}) == []


def test_an_expression_of_another_grammar_is_refused():
    with pytest.raises(ValueError, match=r"of which ' \(please\)' is none of words, \[one, another\]"):
        orders.sentences(["brew $coffeeDrink:coffeeDrink (please)"], {"coffeeDrink": "mocha"})


def test_the_nearest_sentence_wins_by_letters_and_its_margin_is_told():
    allowed = orders.sentences(EXPRESSIONS, SIZED)
    choice = orders.nearest("I'd like a dark roast 8 ounce late", allowed, str.lower)
    assert choice.text == "i'd like a dark roast eight ounce latte" and choice.edits == 6
    assert choice.margin > 3
    unsure = orders.nearest("brew ten", ["brew men", "brew den"], str.lower)
    assert (unsure.edits, unsure.margin) == (1, 0)
    assert orders.nearest("brew ten", ["brew men"], str.lower).margin == float("inf")


# ----------------------------------------------------------------------------------------------------- voices


def cluster_slowly(embeddings, threshold):
    """Joins the two groups of the highest mean cosine, again and again."""
    groups = [[row] for row in range(len(embeddings))]

    def cosine(one, other):
        pairs = [(embeddings[i], embeddings[j]) for i in one for j in other]
        return np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs])

    while len(groups) > 1:
        best, i, j = max((cosine(groups[i], groups[j]), i, j) for i in range(len(groups)) for j in range(i))
        if best < threshold:
            break
        groups[j] += groups.pop(i)
    return {tuple(sorted(g)): max((cosine(g, h) for h in groups if h is not g), default=-1) for g in groups}


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.6])
def test_voices_equal_a_slow_twin(spread):
    rng = np.random.default_rng(int(100 * spread))
    centres = rng.normal(size=(4, 16))
    embeddings = centres[rng.integers(0, 4, 24)] + spread * rng.normal(size=(24, 16))
    voices = voice_groups.find_voices(embeddings)
    found = {voice.members: pytest.approx(voice.nearest) for voice in voices}
    assert found == cluster_slowly(embeddings, 0.76)
    sizes = [len(voice.members) for voice in voices]
    assert sizes == sorted(sizes, reverse=True) and (len(voices) == 4 or spread > 0.05)


def test_strangers_are_far_from_all_and_no_lone_recordings():
    nearest = [0.75, 0.6, 0.1, 0.65, 0.5]
    voices = [voice_groups.Voice(tuple(range(size)), near) for size, near in zip([20, 9, 2, 8, 7], nearest)]
    assert voice_groups.strangers(voices, 8) == [1, 3, 4]
    assert voice_groups.strangers(voices, 2) == [1, 4]
    assert voice_groups.strangers(voices[:1], 8) == []


def test_one_recording_is_one_voice():
    assert voice_groups.find_voices(np.ones((1, 4))) == [voice_groups.Voice((0,), -1.0)]


# --------------------------------------------------------------------------------------------------- checkout


def write_benchmark(root, recordings):
    """A checkout: recordings (name to samples) of orders for as many different drinks, labels, grammar."""
    labels = {}
    for number, (name, wav) in enumerate(recordings.items()):
        path = root / "data/speech/clean" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav, 16000)
        labels[f"{name}.wav"] = {"intent": "orderDrink", "slots": {"coffeeDrink": drink(number)}}
    (root / "data/label").mkdir()
    (root / "data/label/label.json").write_text(json.dumps(labels, indent=4))
    grammar = "".join(f'      - "{expression}"\n' for expression in EXPRESSIONS)
    (root / "data/rhino").mkdir()
    grammar = f"context:\n  expressions:\n    orderDrink:\n{grammar}"
    (root / "data/rhino/coffee_maker.yaml").write_text(grammar)
    return root


def drink(number):
    """Of 21."""
    kind, count = ("mocha", "latte", "americano"), ("one", "two", "three", "four", "five", "six", "seven")
    return f"{kind[number % 3]} {count[number // 3]}"


def remember(checkout, recognizer, heard):
    """As if that recogniser had been asked."""
    name = hashlib.sha256(recognizer.encode()).hexdigest()[:8]
    folder = checkout.root / RECIPE / "data/benchmark"
    folder.mkdir(parents=True)
    write_table(folder / f"heard_{name}.txt", heard)


def spoken(number_of_voices, sentences):
    """Recordings of voices that are as unlike as eSpeak's, half a second of near silence before and after.

    The first of the last voice is soft and has a loud click in it.
    """
    pytest.importorskip("espeakng_loader", reason="pip install espeakng-loader")
    from .published import say

    rng = np.random.default_rng(0)
    for voice in range(number_of_voices):
        for number in range(sentences):
            wav, _ = say(voice, number)
            quiet = [rng.normal(scale=3e-5, size=8000) for _ in range(2)]
            if (voice, number) == (number_of_voices - 1, 0):
                wav = 0.1 * wav
                wav[len(wav) // 2 :][:20] = 0.9
            yield f"{voice}{number}c0ffee-0000", np.concatenate([quiet[0], wav, quiet[1]])


@pytest.mark.integration
def test_a_checkout_becomes_sets_of_voices_and_sentences_that_are_not_mixed(checkout, tmp_path):
    pytest.importorskip("resemblyzer", reason="pip install resemblyzer")
    pytest.importorskip("whisper_normalizer", reason="pip install whisper-normalizer")
    recordings = dict(spoken(3, 6))
    source = write_benchmark(tmp_path / "checkout", recordings)
    write_wav(source / "data/speech/clean/unlabelled.wav")
    heard = {name: f"Can I get a {drink(number)}?" for number, name in enumerate(recordings)}
    heard["00c0ffee-0000"] = "Thank you."  # Whisper in silence
    remember(checkout, "openai/whisper-base", heard)
    done = prepare(checkout, "--source", source, "--test-voices", 1, "--dev-utterances", 2)
    assert done.returncode == 0, done.stderr
    assert "unlabelled.wav has no label and is left out" in done.stderr
    assert "00c0ffee-0000 is left out: heard 'Thank you.'" in done.stderr
    assert "1 of 18 recordings have no clear transcript" in done.stderr
    speakers = {name: set(table(checkout, name).values()) for name in SETS}
    assert len(speakers["test"]) == 1 and not speakers["test"] & (speakers["train"] | speakers["dev"])
    texts = {name: set(table(checkout, name, "text").values()) for name in SETS}
    assert len(texts["dev"]) == 2 and sum(map(len, texts.values())) == len(set.union(*texts.values())) == 17
    assert texts["test"] <= {f"can i get a {drink(number)}".replace("a am", "an am") for number in range(18)}
    voice = {name.split("-")[1][0] for name in table(checkout, "test")}
    assert len(voice) == 1  # the groups are the voices
    for name in SETS:
        done = checkout.run(["utils/validate_data_dir.sh", f"{RECIPE}/data/{name}"])
        assert done.returncode == 0, done.stdout + done.stderr
    # Of the second of silence 0.4 s are kept.
    lengths = {utt: seconds for name in SETS for utt, seconds in table(checkout, name, "utt2dur").items()}
    for utt, seconds in lengths.items():
        whole = len(recordings[utt.split("-", 1)[1]]) / 16000
        assert 0.4 < whole - float(seconds) < 1.2


@pytest.mark.integration
def test_a_recogniser_that_hears_none_of_the_words_is_reported(checkout, tmp_path, whisper_dir):  # noqa: F811
    wav = np.random.default_rng(0).uniform(-0.1, 0.1, 9600)
    source = write_benchmark(tmp_path / "checkout", {"c0ffee": wav})
    done = prepare(checkout, "--source", source, "--recognizer", whisper_dir)
    assert done.returncode == 1 and "does --recognizer read English?" in done.stderr, done.stderr
    assert f"{whisper_dir} listens to 1 recordings" in done.stderr
    again = prepare(checkout, "--source", source, "--recognizer", whisper_dir)
    assert again.returncode == 1 and "listens to" not in again.stderr


@pytest.mark.parametrize(
    "spoil, message",
    [
        (("label/label.json", '{"c0ffee.wav": {"intent": "orderDrink"}}'), "not <recording>: intent, slots"),
        (("label/label.json", "{"), "not <recording>: intent, slots"),
        (("rhino/coffee_maker.yaml", "context: []"), "not a grammar with context/expressions/<intent>"),
        (("rhino/coffee_maker.yaml", "context: {expressions: {}}"), "has no expression; take both from one"),
        (("label/label.json", "{}"), "has no WAV file that data/label/label.json names; clone"),
    ],
)
def test_a_checkout_that_is_not_whole_is_reported(checkout, tmp_path, spoil, message):
    source = write_benchmark(tmp_path / "checkout", {"c0ffee": np.zeros(1600)})
    (source / "data" / spoil[0]).write_text(spoil[1])
    done = prepare(checkout, "--source", source)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
