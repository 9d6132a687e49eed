"""Best of several samples: which is kept, that it repeats, and that the time of all counts."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from soundstorm.data.archive import TokenArchive
from soundstorm.data.audio import read_audio
from soundstorm.decoding.decode_data_dir import decode_data_dir
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.decoding_system import System
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.waveform import utterance_seed
from tests.decoding.test_chain import DURATIONS, chain, decode  # noqa: F401


def energy(wav, sample_rate):
    assert sample_rate == 16000
    return float(np.square(wav).mean())


def run(chain, output, count, reranker=energy, **changes):  # noqa: F811
    system = System(
        source="semantic", codec=str(chain / "codec"), acoustic_model=str(chain / "soundstorm"),
        samplings={"decode": ParallelConfig(iterations=(2, 1), best_of=count)},
    )  # fmt: skip
    decode_data_dir(chain / "data", output, replace(system, **changes), reranker=reranker)
    return TokenArchive(output / "acoustic.scp")


def test_the_sample_that_is_ranked_best_is_kept(chain, tmp_path):  # noqa: F811
    best, worst = run(chain, tmp_path / "best", 3), run(chain, tmp_path / "worst", 3, lambda *wav: -energy(*wav))
    scores = json.loads((tmp_path / "best/best_of.json").read_text())
    reverse = json.loads((tmp_path / "worst/best_of.json").read_text())
    assert set(scores) == set(DURATIONS)
    for utt, found in scores.items():
        assert len(set(found)) == 3 and found == [-score for score in reverse[utt]]
        assert (best[utt] != worst[utt]).any()
        for name, wanted in (("best", max(found)), ("worst", min(found))):
            wav = read_audio(tmp_path / name / f"wav/{utt}.wav", 16000)
            assert energy(wav, 16000) == pytest.approx(wanted, rel=1e-2)


def test_the_first_sample_is_the_one_of_a_single_sample_and_of_equals(chain, tmp_path):  # noqa: F811
    single, several = run(chain, tmp_path / "one", 1), run(chain, tmp_path / "two", 2, lambda *wav: 1.0)
    for utt in DURATIONS:
        np.testing.assert_array_equal(single[utt], several[utt])
    assert not (tmp_path / "one/best_of.json").exists()


def test_samples_repeat_and_more_of_them_begin_alike(chain, tmp_path):  # noqa: F811
    for name, count in (("one", 3), ("two", 3), ("three", 2)):
        run(chain, tmp_path / name, count)
    scores = [json.loads((tmp_path / name / "best_of.json").read_text()) for name in ("one", "two", "three")]
    assert scores[0] == scores[1]
    assert {utt: found[:2] for utt, found in scores[0].items()} == scores[2]


def test_seeds_of_thousands_of_utterances_and_their_samples_differ_in_the_bits_that_count():
    ids = [f"{speaker}-{7 * speaker}-{number:04d}" for speaker in range(61, 8555, 213) for number in range(66)]
    many = [(seed, utt, sample) for seed in (0, 1) for utt in ids for sample in range(3)]
    streams = (torch.Generator().manual_seed(utterance_seed(*each)) for each in many)
    assert len({tuple(torch.rand(3, generator=stream).tolist()) for stream in streams}) == len(many) > 15_000


def test_time_of_all_samples_counts_and_their_audio_once(chain, tmp_path):  # noqa: F811
    run(chain, tmp_path / "three", 3)
    timing = json.loads((tmp_path / "three/timing.json").read_text())
    assert set(timing) == {"soundstorm", "codec", "reranking"}
    for part in timing.values():
        assert part["audio_seconds"] == pytest.approx(sum(DURATIONS.values()), abs=0.1) and part["seconds"] > 0
    stopwatch = Stopwatch()
    for again in (False, True, True):
        with stopwatch.same_audio(again), stopwatch.part("x", 2.0):
            pass
    assert stopwatch.parts["x"]["audio_seconds"] == 2.0


def test_a_reranker_is_needed_and_must_know_an_answer(chain, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="decode.best_of is 2, but nothing ranks the samples"):
        run(chain, tmp_path / "none", 2, None)
    with pytest.raises(ValueError, match="estimated quality of sample 1 is nan"):
        run(chain, tmp_path / "nan", 2, lambda *wav: float("nan"))
    with pytest.raises(ValueError, match="decode.best_of is 0, expected 1 to 1000"):
        ParallelConfig(best_of=0)
    run(chain, tmp_path / "codec", 2, None, source="codec")  # nothing is sampled there


def test_a_sample_without_a_score_is_named_and_loses(chain, tmp_path, caplog):  # noqa: F811
    asked = []

    def some(*wav):  # nothing of the first utterance, and of the others no first sample
        asked.append(energy(*wav))
        return float("nan") if len(asked) <= len(DURATIONS) or len(asked) % len(DURATIONS) == 1 else asked[-1]

    made, single = run(chain, tmp_path / "some", 3, some), run(chain, tmp_path / "one", 1)
    scores = json.loads((tmp_path / "some/best_of.json").read_text())
    first, *others = sorted(DURATIONS)
    assert scores[first] == [None] * 3 and all(scores[utt][0] is None for utt in others)
    np.testing.assert_array_equal(made[first], single[first])
    for utt in others:
        best = energy(read_audio(tmp_path / "some" / f"wav/{utt}.wav", 16000), 16000)
        assert best == pytest.approx(max(scores[utt][1:]), rel=1e-2)
    assert f"{first}: estimated quality of sample 3 is nan" in caplog.text


@pytest.mark.integration
@pytest.mark.integration
def test_the_front_ranks_by_dnsmos(chain, tmp_path):  # noqa: F811
    pytest.importorskip("speechmos", reason="pip install speechmos")
    (tmp_path / "keys").write_text("b-1 b\n")
    options = ("--decode.best-of", 2, "--decode.iterations", 1, "--keys", tmp_path / "keys")
    out = decode(chain, tmp_path / "out", "--from", "semantic", *options)
    (scores,) = json.loads((out / "best_of.json").read_text()).values()
    assert len(scores) == 2 and all(1 <= score <= 5 for score in scores)
    assert json.loads((out / "decode.json").read_text())["best_of"] == 2
