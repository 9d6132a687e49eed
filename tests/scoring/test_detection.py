import json

import numpy as np
import pytest

from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import write_table
from soundstorm.scoring.detection import DetectionPairs, count_correct, measure_detection, split_by_text

RATE = 16000


@pytest.mark.parametrize("seed", range(4))
def test_no_text_is_in_both_parts(seed):
    texts = {(number % 2, f"u{number}"): f"text {number % 5}" for number in range(23)}
    train, test = split_by_text(texts, 0.6, seed)
    assert sorted(train + test) == sorted(texts)
    assert not {texts[key] for key in train} & {texts[key] for key in test}
    assert len({texts[key] for key in train}) == 3
    assert split_by_text(dict(reversed(texts.items())), 0.6, seed) == (train, test)


def test_both_parts_have_a_text_whatever_the_share():
    texts = {(0, "a"): "one", (0, "b"): "two"}
    assert [len(part) for part in split_by_text(texts, 0.99, 0)] == [1, 1]
    with pytest.raises(ValueError, match="utterances of two texts at least, got 1"):
        split_by_text({(0, "a"): "one", (0, "b"): "one"}, 0.5, 0)


def test_as_many_crops_of_a_recording_as_of_generated_speech_are_counted():
    logits = {4: np.array([-1.0, 2.0, 9.0]), 2: np.array([1.0, -1.0])}

    def detect(wav):
        return logits[len(wav)]

    # Recording: the first of two crops is right; generated: the first of two.
    assert count_correct(detect, np.zeros(4), np.zeros(2)) == (2, 4)
    # The other way round: of the first two of generated -1 is wrong and 2 right, of the recording the second.
    assert count_correct(detect, np.zeros(2), np.zeros(4)) == (2, 4)


def make_set(root, name, levels, *, prompt=0.0, texts=None):
    """A decode directory whose recordings are constants, first the prompt at level 0."""
    folder, wavs = root / name, {}
    for utt, level in levels.items():
        wav = np.concatenate([np.zeros(round(prompt * RATE)), np.full(RATE, level)]).astype(np.float32)
        write_audio(folder / "wav" / f"{utt}.wav", wav, RATE)
        wavs[utt] = str(folder / "wav" / f"{utt}.wav")
    write_table(folder / "wav.scp", wavs)
    (folder / "decode.json").write_text(json.dumps({"from": "semantic", "prompt_seconds": prompt}))
    if texts:
        write_table(folder / "text", texts)
    return str(folder)


def test_a_system_is_tested_on_texts_that_its_detector_has_not_seen(tmp_path):
    utterances = [f"u{n}" for n in range(10)]
    texts = {utt: f"words {n // 2}" for n, utt in enumerate(utterances)}
    data = make_set(tmp_path, "data", dict.fromkeys(utterances, 0.5), texts=texts)
    real = make_set(tmp_path, "codec", dict.fromkeys(utterances, 0.1), prompt=0.5)
    # u9 was not decoded, and of u0 the generated speech looks like a recording.
    made = {utt: 0.1 if utt == "u0" else 0.9 for utt in utterances[:-1]}
    generated = make_set(tmp_path, "semantic", made, prompt=0.5)

    def detect(wav):
        return np.array([wav.mean() - 0.5])  # one crop

    pairs = DetectionPairs([data], [real], [generated], RATE)
    accuracies = []
    for seed in range(6):
        chosen, held_out = split_by_text(pairs.texts, 0.6, seed)
        read = pairs.read_all(chosen)
        options = {"trained_on": read, "crop_seconds": 1.0, "seed": seed}
        result = measure_detection("S", pairs, detect, held_out, **options)
        trained = {utt for _, utt in chosen}
        assert len(trained) == result["train_utterances"] and "u9" not in trained
        assert result["train_utterances"] + result["test_utterances"] == 9
        assert result["test_crops"] == 2 * result["test_utterances"]
        levels = [wav.mean() for wav in read[0] + read[1]]
        assert all(min(abs(level - 0.1), abs(level - 0.9)) < 1e-3 for level in levels)  # prompts are cut off
        wrong = 0 if "u0" in trained else 1
        assert result["accuracy"]["value"] == pytest.approx(100 * (1 - wrong / result["test_crops"]))
        accuracies.append(result["accuracy"]["value"])
    assert len(set(accuracies)) > 1


def test_speech_that_cannot_be_read_is_named_and_left_out(tmp_path, monkeypatch, caplog):
    levels = {f"u{n}": 0.1 for n in range(4)}
    folders = [make_set(tmp_path, name, levels) for name in ("data", "codec", "semantic")]
    (tmp_path / "semantic/wav/u2.wav").write_text("no audio")
    pairs = DetectionPairs(*([folder] for folder in folders), RATE)
    keys = list(pairs.texts)
    what = "detection: 1 of 4 utterances have no speech .0/u2.; at least 95%"
    with pytest.raises(ValueError, match=f"{folders[1]}, {folders[2]}, {what}"):
        pairs.read_all(keys)
    monkeypatch.setattr("soundstorm.tokens.merge.LEAST_SHARE", 0.7)
    assert [len(read) for read in pairs.read_all(keys)] == [3, 3] and "u2 is left out: " in caplog.text


def test_directories_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="got 1 of --data-dir, 2 of --real and 1 of --generated"):
        DetectionPairs(["a"], ["b", "c"], ["d"], RATE)
