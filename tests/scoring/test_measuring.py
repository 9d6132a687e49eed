"""One bad utterance is one bad utterance, and what was measured is kept."""

import numpy as np
import pytest

from soundstorm.data.share import Share
from soundstorm.scoring.measures import Measured, Pair, SubsetMeasure
from soundstorm.scoring.measuring import (
    RECORDING,
    MeasuredLog,
    UtteranceScore,
    left_out,
    measure_utterance,
    measure_utterances,
    name_of,
)


class Loudness:
    """Refuses silence."""

    name = "loudness"

    def __init__(self):
        self.calls = []

    def __call__(self, pair):
        self.calls.append(pair.utt_id)
        if not pair.decoded.any():
            raise ValueError("silent")
        return Measured(
            {"loudness": (float(np.square(pair.decoded).sum()), len(pair.decoded))}, {"note": "x"}
        )


class Shortness:
    """Has no value for what is short."""

    def __call__(self, pair):
        if len(pair.decoded) < 100:
            return Measured(undefined={"shortness": "shorter than 100 samples"})
        return Measured({"shortness": (1.0, len(pair.decoded))})


def pair(utt, wav):
    wav = np.asarray(wav, np.float32)
    return Pair(utt, original=wav, decoded=wav, sample_rate=16000)


def measure(utt, wav, *measures):
    return measure_utterance(utt, pair(utt, wav), measures or (Loudness(), Shortness()))


def test_a_measure_that_fails_leaves_the_others_alone():
    score = measure("a", np.zeros(200))
    assert score.failed == {"loudness": "silent"} and score.values == {"shortness": (1.0, 200.0)}
    score = measure("b", np.ones(50))
    assert score.values == {"loudness": (50.0, 50.0)} and score.details == {"note": "x"}
    assert score.undefined == {"shortness": "shorter than 100 samples"}
    assert name_of(Shortness()) == "Shortness" and name_of(SubsetMeasure(Loudness(), ["a"])) == "loudness"


def test_a_recording_that_cannot_be_read_is_named():
    def read(utt):
        if utt == "a":
            raise OSError("x.wav: truncated")
        return pair(utt, np.ones(200))

    scores = dict(measure_utterances("abc", read, [Loudness()]))
    assert scores["a"].failed == {RECORDING: "x.wav: truncated"}
    assert not scores["b"].failed and scores["c"].values == {"loudness": (200.0, 200.0)}


def test_a_measure_of_many_sees_all_of_a_block_first_and_its_failure_is_that_of_one():
    class OfMany(Loudness):
        def read_ahead(self, pairs):
            self.calls.append([pair.utt_id for pair in pairs])
            if not all(pair.decoded.any() for pair in pairs):
                raise ValueError("one of them is silent")

    measure = OfMany()
    read = {utt: pair(utt, np.full(200, utt != "c")) for utt in "abcdefghij"}.get
    scores = dict(measure_utterances("abcdefghij", read, [SubsetMeasure(measure, "abcdefghi")]))
    assert measure.calls == [list("abcdefgh"), *"abcdefgh", ["i"], "i"]
    assert [utt for utt, score in scores.items() if score.failed] == ["c"]
    assert scores["c"].failed == {"loudness": "silent"} and not scores["j"].values


def test_a_fault_of_the_program_names_the_utterance_it_met(caplog):
    def broken(pair):
        raise TypeError("no such thing")

    with pytest.raises(TypeError):
        measure("a-1", np.ones(200), broken)
    assert "utterance a-1" in caplog.text


def test_what_is_left_out_is_named_with_its_reason_and_counted(caplog):
    scores = {f"u{n}": measure(f"u{n}", np.ones(200)) for n in range(40)}
    scores |= {"quiet": measure("quiet", np.zeros(200)), "short": measure("short", np.ones(50))}
    found = left_out(scores, "row")
    assert found == {"loudness": {"quiet": "silent"}, "shortness": {"short": "shorter than 100 samples"}}
    assert "row: loudness has no value for 1 of 42 utterances: quiet: silent" in caplog.text


def test_below_95_per_cent_the_stage_fails():
    scores = {f"u{n}": measure(f"u{n}", np.ones(200)) for n in range(19)}
    scores["quiet"] = measure("quiet", np.zeros(200))
    left_out(scores, "row")  # 95 %
    scores["still"] = measure("still", np.zeros(200))
    message = "row: loudness has no value for 2 of 21 .*quiet: silent; still: silent.*95 %"
    with pytest.raises(ValueError, match=message):
        left_out(scores, "row")


def test_the_share_is_of_the_utterances_that_a_measure_applies_to():
    some = SubsetMeasure(Loudness(), ["quiet", "u0"])
    scores = {f"u{n}": measure(f"u{n}", np.ones(200), some) for n in range(40)}
    scores["quiet"] = measure("quiet", np.zeros(200), some)
    with pytest.raises(ValueError, match="1 of 2 utterances"):
        left_out(scores, "row")


def test_what_was_measured_is_read_back_bit_for_bit(tmp_path):
    details = {"drift": [[0.1, 1 / 7]], "text": "ä"}
    score = UtteranceScore(0.1 + 0.2, {"x": (1 / 3, 7.0)}, details, ["m"], {"y": "short"})
    log = MeasuredLog(tmp_path / "s.json", "inputs")
    log.write("a", score)
    assert MeasuredLog(tmp_path / "s.json", "inputs").known == {"a": score}
    assert MeasuredLog(tmp_path / "s.json", "others").known == {}


def test_a_line_that_was_cut_off_is_measured_again_and_the_rest_is_kept(tmp_path):
    log = MeasuredLog(tmp_path / "s.json", "inputs")
    for utt in "abc":
        log.write(utt, UtteranceScore(details={"utt": utt}))
    path = tmp_path / "s.json.partial"
    path.write_bytes(path.read_bytes()[:-5])
    log = MeasuredLog(tmp_path / "s.json", "inputs")
    assert list(log.known) == ["a", "b"]
    log.write("c", UtteranceScore())
    assert list(MeasuredLog(tmp_path / "s.json", "inputs").known) == ["a", "b", "c"]


def test_logs_of_shares_are_found_and_removed_and_nothing_else_is(tmp_path):
    for number, utt in ((1, "a"), (2, "b")):
        MeasuredLog(tmp_path / "s.json", "inputs", name=f"share{number}").write(utt, UtteranceScore())
    (tmp_path / "s.json.notes").write_text("mine")
    log = MeasuredLog(tmp_path / "s.json", "inputs")
    assert set(log.known) == {"a", "b"}
    log.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["s.json.notes"]


def test_shares_are_all_of_it_and_one_utterance_more_moves_no_other():
    ids = [f"utt{n}" for n in range(500)]
    shares = [Share.parse(f"{k}/7").of_ids(ids) for k in range(1, 8)]
    assert sorted(utt for share in shares for utt in share) == sorted(ids) and all(
        len(s) > 40 for s in shares
    )
    for k, share in enumerate(shares, start=1):
        assert [utt for utt in Share(k, 7).of_ids(["new", *ids]) if utt != "new"] == share
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(ValueError, match="expected <number>/<of>"):
            Share.parse(wrong)


def test_what_is_no_number_is_no_measurement():
    def measure_odd(pair):
        values = {"nan": (np.nan, 1.0), "inf": (-np.inf, 1.0), "empty": (1.0, 0.0), "good": (1.0, 2.0)}
        return Measured(values, {"drift": [[0.1, np.nan]], "note": "x"})

    score = measure("a", np.ones(200), measure_odd)
    assert score.values == {"good": (1.0, 2.0)} and score.details == {"note": "x"}
    assert (
        set(score.failed) == {"nan", "inf", "empty"} and "nan / 1.0, expected a number" in score.failed["nan"]
    )
    score.failed = {"nan": score.failed["nan"]}
    scores = {
        f"u{n}": measure(f"u{n}", np.ones(200), lambda _: Measured({"nan": (1.0, 1.0)})) for n in range(39)
    }
    assert set(left_out(scores | {"a": score}, "row")["nan"]) == {"a"}
    with pytest.raises(ValueError, match="nan has no value for 3 of 42 utterances: a: measured as nan / 1.0"):
        left_out(scores | {"a": score, "b": score, "c": score}, "row")


def test_a_library_that_refuses_a_recording_leaves_the_others_alone_but_not_a_full_memory():
    def refuse(pair):
        raise RuntimeError("kernel size can't be greater than the input")

    assert "kernel size" in measure("a", np.ones(200), refuse).failed["function"]

    def full(pair):
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        measure("a", np.ones(200), full)


def test_what_failed_is_tried_again_as_it_may_have_been_repaired(tmp_path):
    log = MeasuredLog(tmp_path / "s.json", "inputs")
    log.write("a", UtteranceScore(failed={RECORDING: "truncated"}))
    log.write("b", UtteranceScore(undefined={"stoi": "short"}))
    assert set(MeasuredLog(tmp_path / "s.json", "inputs").known) == {"b"}
