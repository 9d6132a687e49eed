"""Token quality against a slow twin that counts with loops, and against cases with known answers."""

import json
import math
import shutil
from collections import Counter

import numpy as np
import pytest

from soundstorm.bin import train_kmeans
from soundstorm.data.archive import TokenizerInfo, write_tokens
from soundstorm.data.data_dir import read_table, write_table
from soundstorm.scoring.token_quality import (
    count_pairs,
    frame_phones,
    measure_quality,
    measure_sources,
    normalized_mutual_information,
    quality_table,
    read_phones,
    write_report,
)


def slow_measures(pairs):
    """PNMI, phone purity and cluster purity of (phone, token) pairs, from their definitions."""
    joint = Counter(pairs)
    phones, tokens = Counter(p for p, _ in pairs), Counter(t for _, t in pairs)
    total = len(pairs)
    entropy = -sum(n / total * math.log(n / total) for n in phones.values())
    information = 0.0
    for (phone, token), n in joint.items():
        information += n / total * math.log((n / total) / (phones[phone] / total * tokens[token] / total))
    purity = sum(max(joint[p, t] for p in phones) for t in tokens) / total
    cluster_purity = sum(max(joint[p, t] for t in tokens) for p in phones) / total
    return information / entropy, purity, cluster_purity


@pytest.mark.parametrize("seed", range(5))
def test_measures_equal_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c", "sil"]
    tokens = {f"u{i}": rng.integers(6, size=30) for i in range(4)}
    phones = {u: [(0.1 * k, 0.1 * (k + 1), names[rng.integers(4)]) for k in range(6)] for u in tokens}
    speakers = {utt: "s1" if utt < "u2" else "s2" for utt in tokens}
    quality = measure_quality(tokens, phones, frame_rate=50.0, speakers=speakers)
    pairs, voices = [], []
    for utt, sequence in tokens.items():
        for t, token in enumerate(sequence):
            for start, end, phone in phones[utt]:
                if start <= (t + 0.5) / 50 < end:
                    pairs.append((phone, int(token)))
                    voices.append((speakers[utt], int(token)))
    expected = slow_measures(pairs)
    assert (quality.pnmi, quality.phone_purity, quality.cluster_purity) == pytest.approx(expected)
    assert quality.speaker_nmi == pytest.approx(slow_measures(voices)[0])
    assert quality.num_frames == len(pairs) == 120


def test_tokens_that_are_the_phones_have_all_information():
    phones = {"u": [(0.0, 0.2, "a"), (0.2, 0.4, "b")]}
    quality = measure_quality({"u": [7] * 10 + [3] * 10}, phones, frame_rate=50.0, speakers={"u": "s"})
    assert (quality.pnmi, quality.phone_purity, quality.cluster_purity) == pytest.approx((1.0, 1.0, 1.0))
    assert quality.speaker_nmi is None and quality.num_tokens_used == 2


def test_one_token_for_everything_has_no_information():
    phones = {"u": [(0.0, 0.3, "a"), (0.3, 0.4, "b")]}
    quality = measure_quality({"u": [0] * 20}, phones, frame_rate=50.0, speakers={"u": "s"})
    assert quality.pnmi == pytest.approx(0.0) and quality.phone_purity == pytest.approx(0.75)


def test_a_frame_has_the_phone_at_its_middle():
    phones = frame_phones([(0.0, 0.03, "a"), (0.05, 0.071, "b")], 5, 50.0)
    assert phones == ["a", None, "b", "b", None]  # middles 0.01, 0.03, 0.05, 0.07, 0.09


def test_phones_beyond_the_tokens_are_left_out():
    assert frame_phones([(0.0, 1.0, "a")], 3, 50.0) == ["a"] * 3


def test_counts_are_those_of_the_pairs():
    counts = count_pairs([("a", 3), ("b", 3), ("a", 5), ("a", 3)])
    assert counts.tolist() == [[2, 1], [1, 0]]


def test_independent_rows_and_columns_share_no_information():
    assert normalized_mutual_information(np.outer([1, 3], [2, 5, 3])) == pytest.approx(0.0)


def test_utterances_without_phones_are_an_error():
    with pytest.raises(ValueError, match="none of 1 utterances with tokens has phones"):
        measure_quality({"u": [1]}, {"v": [(0, 1, "a")]}, frame_rate=50.0, speakers={"u": "s"})


def test_a_single_phone_is_an_error():
    with pytest.raises(ValueError, match="all 1 frames have the same phone 'a'"):
        measure_quality({"u": [1]}, {"u": [(0, 1, "a")]}, frame_rate=50.0, speakers={"u": "s"})


@pytest.mark.parametrize(
    "times", ["0.1 long", "inf 0.1", "0.1 1e308", "nan 0.1", "-1 0.1", "0.1 -0.1", "0.1"]
)
def test_a_malformed_line_is_named(tmp_path, times):
    (tmp_path / "phones.ctm").write_text(f"u1 1 0.0 0.1 a\nu1 1 {times} b\n")
    with pytest.raises(
        ValueError, match="utterance u1: expected '<channel> <start> <duration> <phone>', got"
    ):
        read_phones(tmp_path / "phones.ctm")


def test_archives_are_measured_and_reported(data_dir, tmp_path):
    phones = read_phones(data_dir / "phones.ctm")
    info = TokenizerInfo("semantic", "perfect", "f", 50.0, 1, 2, 16000)
    # Recordings of half a second at least: every frame's phone is known.
    perfect = {
        utt: np.array([p == "s" for p in frame_phones(spans, 30, 50.0)]) for utt, spans in phones.items()
    }
    write_tokens(tmp_path / "semantic", ((u, t.astype(np.uint16)) for u, t in perfect.items()), info)
    scp = str(tmp_path / "semantic.scp")
    results = measure_sources(data_dir, tokens=[scp])
    assert results[scp].pnmi == pytest.approx(1.0)
    assert f"| {scp} | 2 | 1.000 | 1.000 |" in quality_table(results)
    write_report(tmp_path / "quality.json", results)
    assert json.loads((tmp_path / "quality.json").read_text())[scp]["num_utterances"] == 6


def test_a_bad_recording_is_left_out_of_tokens_made_for_the_purpose(data_dir, tmp_path, monkeypatch, caplog):
    kmeans, data = str(tmp_path / "kmeans"), tmp_path / "data"
    train_kmeans.main(["--data-dir", str(data_dir), "--features", "mfcc", "--clusters", "2", "--output", kmeans])
    shutil.copytree(data_dir, data)
    (tmp_path / "x.wav").write_text("no audio")
    write_table(data / "wav.scp", {**read_table(data / "wav.scp"), "s1-u3": str(tmp_path / "x.wav")})
    with pytest.raises(ValueError, match=r"1 of 6 utterances have no tokens .s1-u3.; at least 95%"):
        measure_sources(data, kmeans=[kmeans])
    monkeypatch.setattr("soundstorm.tokens.merge.LEAST_SHARE", 0.8)
    assert measure_sources(data, kmeans=[kmeans])[kmeans].num_utterances == 5
    assert "s1-u3 is left out: " in caplog.text


def test_a_data_directory_without_phone_times_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="token quality needs phone times"):
        measure_sources(tmp_path, tokens=[])
