"""Utterances by speaker."""

import numpy as np

from soundstorm.data.speakers import SpeakerIndex


def test_utterances_and_sums_of_speakers_equal_a_slow_twin(tmp_path):
    rng = np.random.default_rng(0)
    speakers = {f"u{n:02d}": f"s{rng.integers(5)}" for n in range(40)}
    (tmp_path / "utt2spk").write_text("".join(f"{utt} {speaker}\n" for utt, speaker in speakers.items()))
    listed = [f"u{n:02d}" for n in rng.permutation(44)]  # four that the table lacks
    values = rng.integers(1, 100, len(listed))
    index = SpeakerIndex(np.array([utt.encode() for utt in listed]), tmp_path / "utt2spk")
    sums = index.sums(values)
    for place, utt in enumerate(listed):
        mine = [p for p, other in enumerate(listed) if speakers.get(other, other) == speakers.get(utt, utt)]
        assert index.same(place).tolist() == mine
        assert sums[place] == values[mine].sum() and sums.dtype == values.dtype
