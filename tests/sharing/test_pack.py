"""Packs: made of experiments, moved away, loaded from there and from the hub's cache; the tokens stay the same."""

import json
import shutil
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.constants
import numpy as np
import pytest
import yaml

from soundstorm.bin import (
    extract_acoustic_tokens,
    extract_semantic_tokens,
    link_pack,
    pack_model,
    synthesize,
    train_consistency,
    train_masked_text_to_semantic,
    train_text_to_semantic,
)
from soundstorm.data.archive import TokenArchive
from soundstorm.data.pack import open_pack, part_of
from soundstorm.models.consistency import load_consistency
from soundstorm.tokens.features import open_features
from soundstorm.tokens.kmeans import KMeans, KMeansInfo
from soundstorm.tokens.semantic import SemanticTokenizer
from tests.tokens.conftest import make_recognizer, make_whisper

EXPERIMENTS = ("soundstorm", "text_to_semantic", "codec", "kmeans", "audiolm")
ACOUSTIC_MODELS = ("soundstorm", "audiolm")
SCORING = ("recognizer", "consistency")


@pytest.fixture
def recipe(recipe_inputs, tmp_path, monkeypatch):
    """A recipe directory to work in; everything in it has a relative path."""
    shutil.copytree(recipe_inputs, tmp_path / "recipe")
    monkeypatch.chdir(tmp_path / "recipe")
    return tmp_path / "recipe"


def pack(*parts, output="pack", **more):
    """Packs experiments that are called as their parts."""
    names = {part: "acoustic-model" if part in ACOUSTIC_MODELS else part.replace("_", "-") for part in parts}
    options = [word for part in parts for word in (f"--{names[part]}", more.pop(part, part))]
    options += [word for name, value in more.items() for word in (f"--{name}", value)]
    pack_model.main([*options, "--output", output])


def decode(output, place, source="text"):
    """Speaks the test set; ``place`` is a pack, or None for the experiments."""
    options = {"acoustic-model": "soundstorm", "codec": "codec"}
    options |= {"text-to-semantic": "text_to_semantic"} if source == "text" else {}
    words = [word for option, part in options.items() for word in (f"--{option}", place or part)]
    if place == "elsewhere/shared":  # which has two of them
        words[1] = f"soundstorm:{place}"
    common = ["--data-dir", "data", "--from", source, "--text.max-seconds", "1", "--device", "cpu"]
    synthesize.main([*common, *words, "--output", output])
    return read(f"{output}/acoustic.scp")


def read(scp):
    archive = TokenArchive(scp)
    return {utt: archive[utt] for utt in archive.ids}


def same(one, two):
    assert one.keys() == two.keys() and one
    for utt in one:
        np.testing.assert_array_equal(one[utt], two[utt])


def test_a_pack_that_was_moved_gives_the_tokens_of_the_experiments_that_are_gone(recipe):
    before = decode("before", None)
    for front, option, name in (
        (extract_semantic_tokens, "--kmeans", "kmeans"),
        (extract_acoustic_tokens, "--codec", "codec"),
    ):
        front.main(["--data-dir", "data", option, name, "--output", f"old/{name}"])
    pack(*EXPERIMENTS, *SCORING)
    for part in (*EXPERIMENTS[:-1], *SCORING, "hubert", "audiolm_coarse", "audiolm_fine"):
        shutil.rmtree(part)
    (recipe / "elsewhere").mkdir()
    (recipe / "pack").rename("elsewhere/shared")
    same(decode("after", "elsewhere/shared"), before)
    extract_semantic_tokens.main(["--data-dir", "data", "--kmeans", "elsewhere/shared", "--output", "new/kmeans"])
    extract_acoustic_tokens.main(["--data-dir", "data", "--codec", "elsewhere/shared", "--output", "new/codec"])
    for name in ("kmeans", "codec"):
        same(read(f"new/{name}.scp"), read(f"old/{name}.scp"))
        assert TokenArchive(f"new/{name}.scp").info == TokenArchive(f"old/{name}.scp").info
    audiolm = ["--acoustic-model", "audiolm:elsewhere/shared", "--audiolm.overlap-seconds", "0.1"]
    synthesize.main(["--data-dir", "data", "--codec", "elsewhere/shared", *audiolm, "--output", "audiolm"])

    from soundstorm.models.recognizer import load_trained_recognizer

    wav = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    assert np.isfinite(load_consistency("elsewhere/shared")(wav)).all()
    assert load_trained_recognizer("elsewhere/shared").log_probabilities(wav).ndim == 2


def save_kmeans(source, directory):
    """Writes a k-means on features of a model; a recording and its tokens."""
    features = open_features(source, 1)
    identity = (source, 1, features.fingerprint, features.frame_rate, 16000)
    info = KMeansInfo(*identity, 8, "none", "sklearn", 0, 1.0, 9, 1.0)
    wav = np.random.default_rng(1).normal(size=16000).astype(np.float32)
    width = features.extract([wav])[0].shape[1]
    centroids = np.random.default_rng(0).normal(size=(8, width)).astype(np.float32)
    KMeans(info, centroids, np.zeros(width, np.float32), np.ones(width, np.float32)).save(directory)
    return wav, SemanticTokenizer.load(directory).encode([wav])[0]


@pytest.mark.parametrize("prefix", ["", "whisper:", "recognizer:"])
def test_a_self_supervised_model_comes_along_and_no_path_of_the_machine_does(recipe, prefix):
    if prefix:
        shutil.rmtree("hubert")
    if prefix == "whisper:":
        make_whisper(recipe / "hubert")
    if prefix == "recognizer:":
        make_recognizer(recipe / "hubert")
    wav, tokens = save_kmeans(f"{prefix}{recipe / 'hubert'}", "listening")
    pack("kmeans", kmeans=str(recipe / "listening"))
    shutil.rmtree("hubert")
    np.testing.assert_array_equal(SemanticTokenizer.load("pack").encode([wav])[0], tokens)
    pack("kmeans", kmeans="pack", output="again")  # of a pack, as of an experiment
    np.testing.assert_array_equal(SemanticTokenizer.load("again").encode([wav])[0], tokens)
    texts = [path.read_text() for path in (recipe / "pack").rglob("*") if path.suffix in (".json", ".md", ".yaml")]
    assert len(texts) >= 4 and not [text for text in texts if str(recipe) in text]


@pytest.mark.parametrize("part", ["text_to_semantic", "masked_text_to_semantic"])
def test_no_file_of_an_experiment_tells_where_its_data_was(recipe, part):
    train = {"text_to_semantic": train_text_to_semantic, "masked_text_to_semantic": train_masked_text_to_semantic}[part]
    data = ["--train-data", str(recipe / "data"), "--valid-data", str(recipe / "data"), "--read-utterances", "1"]
    train.main([*data, "--config", f"conf/{part}.yaml", "--expdir", "heard"])
    pack("text_to_semantic", text_to_semantic="heard")
    written = json.loads((recipe / "pack/text_to_semantic/free_running.json").read_text())
    assert written == {**json.loads((recipe / "heard/free_running.json").read_text()), "data": "data"}
    assert not [p for p in (recipe / "pack").rglob("*") if p.is_file() and str(recipe).encode() in p.read_bytes()]


def test_a_consistency_network_takes_the_recogniser_along_that_it_listens_through(recipe):
    source = ["--ssl-model", f"recognizer:{recipe / 'recognizer'}", "--config", "conf/consistency.yaml"]
    train_consistency.main(["--train-data", "data", "--valid-data", "data", *source, "--expdir", "heard"])
    wav = np.random.default_rng(1).normal(size=16000).astype(np.float32)
    embedding = load_consistency("heard")(wav)
    pack("consistency", consistency="heard")
    shutil.rmtree("recognizer")
    pack("consistency", consistency="pack", output="again")  # of a pack, as of an experiment
    for place in ("pack", "again"):
        np.testing.assert_array_equal(load_consistency(place)(wav), embedding)
    assert str(recipe) not in (recipe / "pack/consistency/config.yaml").read_text()


def test_a_name_on_the_hub_means_what_was_downloaded(recipe, tmp_path, monkeypatch):
    """The layout of the hub's cache: snapshots of links to blobs, and a file that says which snapshot is main."""
    before = decode("before", None, "semantic")
    pack("soundstorm", "codec")
    root = tmp_path / "cache/models--org--small"
    for path in sorted((recipe / "pack").rglob("*")):
        if path.is_file():
            link = root / "snapshots/abc123" / path.relative_to(recipe / "pack")
            blob = root / "blobs" / str(abs(hash(path)))
            for folder in (link.parent, blob.parent):
                folder.mkdir(parents=True, exist_ok=True)
            path.rename(blob)
            link.symlink_to(blob)
    (root / "refs").mkdir()
    (root / "refs/main").write_text("abc123")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    shutil.rmtree("soundstorm")
    same(decode("after", "org/small", "semantic"), before)
    with pytest.raises(FileNotFoundError, match="this pack has no kmeans; it has soundstorm, codec"):
        SemanticTokenizer.load("org/small")
    with pytest.raises(FileNotFoundError, match="if it is a pack on the hub, first: hf download org/other"):
        decode("never", "org/other", "semantic")


def test_links_into_a_pack_make_an_experiment_whose_results_stay_out_of_it(recipe):
    pack("soundstorm", "codec")
    before = sorted((recipe / "pack").rglob("*"))
    for _ in range(2):  # a second run finds the links
        link_pack.main(["--pack", "pack", "--part", "soundstorm", "--expdir", "exp/soundstorm_pack"])
    (recipe / "exp/soundstorm_pack/decode").mkdir()
    assert sorted((recipe / "pack").rglob("*")) == before
    options = ["--data-dir", "data", "--acoustic-model", "exp/soundstorm_pack", "--codec", "pack", "--output", "out"]
    synthesize.main(options)
    with pytest.raises(ValueError, match="is no link into"):
        link_pack.main(["--pack", "pack", "--part", "codec", "--expdir", "codec"])


def test_the_card_says_what_is_inside_and_how_to_use_it(recipe):
    (recipe / "RESULTS.md").write_text("| System | WER |\n")
    pack("soundstorm", "text_to_semantic", "codec", title="Four words", license="cc0-1.0", results="RESULTS.md")
    card = (recipe / "pack/README.md").read_text()
    assert card.startswith("---\nlicense: cc0-1.0\ntags:")
    assert "# Four words" in card and "| System | WER |" in card
    assert "--from text --codec PACK --acoustic-model PACK --text-to-semantic PACK" in card
    assert "| soundstorm | 0.00" in card  # millions of weights
    assert "command.txt" not in [path.name for path in (recipe / "pack").rglob("*")]


def test_the_card_shows_the_pictures_of_the_results_and_no_path_of_the_machine(recipe):
    text = "- command: `./run.sh --data-opts --source\\ /home/jane\\ doe/a\\ --more\\ exp/b --x=/home/jane/c d/e`\n"
    text += "`python -m front --a '/home/jane doe/f g' --b closed:/home/jane/h exp/i`; `closed:/home/jane doe/j k`\n\n"
    text += "| 1.00 / 2.00 (3 of 4) | - / - |\n`dev`/`test`, https://x.org/l/m\n\n"
    (recipe / "report").mkdir()
    (recipe / "report/losses.png").write_bytes(b"picture")
    pictures = [f"![What loss?]({place})" for place in ("losses.png", recipe / "report/losses.png", "https://x.org/y.png")]
    (recipe / "report/RESULTS.md").write_text(text + "\n".join(pictures) + "\n")
    pack("codec", results="report/RESULTS.md")
    card = (recipe / "pack/README.md").read_text()
    assert "`./run.sh --data-opts --source\\ a\\ --more\\ exp/b --x=c d/e`" in card
    assert "`python -m front --a 'f g' --b closed:h exp/i`; `closed:j k`" in card
    assert text[text.index("|") :] in card
    assert card.count("![What loss?](losses.png)") == 2 and "![What loss?](https://x.org/y.png)" in card
    assert (recipe / "pack/losses.png").read_bytes() == b"picture"


def test_the_card_has_the_hubs_metadata_and_the_figures_of_the_report(recipe):
    figure = {"all": {"value": 12.345678, "low": 11.0, "high": 13.5, "count": 60}}
    rows = [
        {"system": "Original", "decode": {}, "metrics": {"wer": figure}},
        {"system": "AudioLM", "decode": {"kind": "audiolm"}, "metrics": {"wer": figure}},
        {
            "system": "SoundStorm (3 s prompt)", "decode": {"kind": "soundstorm"},
            "metrics": {"wer": figure, "dnsmos": figure, "seconds": figure},
            "settings": {"recognizers": ["/data/models/whisper-base", "train"]},
        },
    ]  # fmt: skip
    report = {"facts": {"date": "2026-01-02"}, "sets": {"data/test": {"rows": rows}}}
    (recipe / "RESULTS.md").write_text("| System | WER |\n")
    (recipe / "report.json").write_text(json.dumps(report))
    options = {"license": "cc0-1.0", "language": "en", "dataset": "org/words", "results": "RESULTS.md"}
    pack("soundstorm", "text_to_semantic", "codec", **options, **{"part-license": "codec=mit"})
    front = yaml.safe_load((recipe / "pack/README.md").read_text().split("---")[1])
    assert front == {
        "license": "cc0-1.0", "language": "en", "tags": ["soundstorm", "text-to-speech"],
        "datasets": ["org/words"], "library_name": "soundstorm", "pipeline_tag": "text-to-speech",
        "metrics": ["wer"],
    }  # fmt: skip
    (path,) = (recipe / "pack/.eval_results").iterdir()
    assert path.name == "test_soundstorm_3_s_prompt.yaml"
    wer, dnsmos = huggingface_hub.parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (wer.dataset_id, wer.task_id, wer.value, wer.date) == ("org/words", "wer", 12.3457, "2026-01-02")
    said = "SoundStorm (3 s prompt), set test: 60 utterances, 95 % interval 11 to 13.5"
    assert wer.notes == f"{said}, judged by whisper-base"
    assert (dnsmos.task_id, dnsmos.notes) == ("dnsmos", said)
    licenses = json.loads((recipe / "pack/pack.json").read_text())["licenses"]
    assert licenses == {"soundstorm": "cc0-1.0", "text_to_semantic": "cc0-1.0", "codec": "mit"}
    with pytest.raises(ValueError, match="--part-license is of 'hubert', expected some of codec"):
        pack("codec", output="other", **{"part-license": "hubert=mit"})


def test_a_part_that_is_not_what_was_packed_is_refused_by_its_name(recipe):
    pack("codec", "kmeans")
    weights = recipe / "pack/codec/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    sizes = f"{len(content) - 1} bytes, expected {len(content)}"
    with pytest.raises(ValueError, match=f"codec/model.safetensors: {sizes}"):
        part_of("pack", "codec")
    weights.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(ValueError, match="codec/model.safetensors: its SHA-256 is .*; get the pack again"):
        part_of("pack", "codec")
    assert part_of("pack", "kmeans") == "pack/kmeans"
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="codec/model.safetensors"):
        part_of("pack", "codec")


def test_a_push_says_what_would_go_and_sends_nothing_unless_told_to(recipe, capsys):
    pack("codec", license="mit", push="org/small")
    said = capsys.readouterr().out
    paths = [path.relative_to(recipe / "pack") for path in (recipe / "pack").rglob("*") if path.is_file()]
    assert len(paths) >= 4 and all(f"  {path}\n" in said for path in paths)
    assert "would go to https://huggingface.co/org/small, if private or new; nothing was sent" in said
    assert "does not say language" in said and "does not say license" not in said
    push = ["--output", "pack", "--push", "org/small"]
    pack_model.main(push)  # of a pack that is there
    assert capsys.readouterr().out == said
    with pytest.raises(ValueError, match="--really-push goes with --push"):
        pack_model.main([*push[:2], "--really-push"])
    with pytest.raises(OSError, match="org/small: not uploaded .*; see `hf auth whoami`"):
        pack_model.main([*push, "--really-push"])  # tests are offline
    with pytest.raises(ValueError, match="expected <organisation or user>/<name>"):
        pack_model.main(["--output", "pack", "--push", "small"])


@pytest.mark.parametrize("private", [True, False])
def test_a_push_goes_to_a_private_repository_only(recipe, monkeypatch, capsys, private):
    pack("codec")
    sent = []
    answers = {
        "create_repo": lambda *names, **options: None,
        "repo_info": lambda *names: SimpleNamespace(private=private),
        "upload_folder": lambda **options: sent.append(options) or SimpleNamespace(commit_url="https://x.org/1"),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(huggingface_hub.HfApi, name, lambda api, *a, answer=answer, **more: answer(*a, **more))
    push = ["--output", "pack", "--push", "org/small", "--really-push"]
    if private:
        pack_model.main(push)
        assert "https://x.org/1: uploaded, private" in capsys.readouterr().out
    else:
        with pytest.raises(ValueError, match="org/small: is public, .*nothing was sent.*: hf upload org/small pack"):
            pack_model.main(push)
    assert len(sent) == private


def test_a_ready_codec_is_named_and_not_copied(recipe):
    description = {"format": "soundstorm-pack-1", "parts": {"codec": "encodec:facebook/encodec_24khz@6kbps"}}
    (recipe / "pack").mkdir()
    (recipe / "pack/pack.json").write_text(json.dumps(description))
    assert part_of("pack", "codec") == "encodec:facebook/encodec_24khz@6kbps"
    description["parts"]["codec"] = "dac:./codec@4"
    (recipe / "pack/pack.json").write_text(json.dumps(description))
    assert part_of("pack", "codec") == "dac:pack/codec@4"


def test_what_does_not_belong_together_is_refused_and_nothing_is_left(recipe):
    config = (recipe / "soundstorm/config.yaml").read_text()
    fingerprint = open_fingerprint(config)
    (recipe / "soundstorm/config.yaml").write_text(config.replace(fingerprint, "ab" * 32))
    with pytest.raises(ValueError, match="tokens do not belong together"):
        pack("soundstorm", "codec", "kmeans")
    assert not [path for path in recipe.iterdir() if path.name in ("pack", ".pack.tmp")]


def open_fingerprint(config):
    return next(line.split(": ")[1] for line in config.splitlines() if "fingerprint" in line)


def test_an_output_that_exists_and_an_unfinished_experiment_are_refused(recipe):
    with pytest.raises(ValueError, match="codec: is there already"):
        pack("soundstorm", output="codec")
    (recipe / "soundstorm/model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="train this soundstorm to its end first"):
        pack("soundstorm")
    with pytest.raises(ValueError, match="the parts to pack are"):
        pack()


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"soundstorm": "../soundstorm"}, "in a directory of its own name"),
        ({"codec": "encodec:./../../x"}, "in a directory of its own name"),
        ({"surprise": "elsewhere"}, "in a directory of its own name"),
        ({"../surprise": "../surprise"}, "expected a name in small letters"),
        ({}, "expected names with directories"),
    ],
)
def test_a_pack_that_leads_elsewhere_is_refused(tmp_path, parts, message):
    (tmp_path / "pack.json").write_text(json.dumps({"format": "soundstorm-pack-1", "parts": parts}))
    with pytest.raises(ValueError, match=message):
        open_pack(tmp_path)
    (tmp_path / "pack.json").write_text(json.dumps({"format": "soundstorm-pack-2", "parts": {}}))
    with pytest.raises(ValueError, match="expected soundstorm-pack-1"):
        open_pack(tmp_path)
