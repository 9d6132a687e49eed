"""Parts of features: whole or not at all, of the same inputs only, removed without touching anything else."""

import numpy as np

from soundstorm.data.feature_parts import FeatureParts, whole_batches

FEATURES = {"u-1": np.arange(6, dtype=np.float32).reshape(3, 2).T, "u-2": np.ones((1, 3), np.float32)}


def test_a_part_is_read_back_bit_for_bit_and_of_the_same_inputs_only(tmp_path):
    parts = FeatureParts(tmp_path / "features")
    assert parts.read(1, "a") is None
    parts.write(1, "a", FEATURES)
    found = parts.read(1, "a")
    assert {utt: array.tobytes() for utt, array in found.items()} == {
        u: a.tobytes() for u, a in FEATURES.items()
    }
    assert parts.read(1, "b") is None and parts.read(2, "a") is None
    assert list(parts.read(1, "a", ["u-2"])) == ["u-2"] and parts.read(1, "a", []) == {}


def test_a_damaged_part_is_as_none(tmp_path):
    parts = FeatureParts(tmp_path)
    parts.write(1, "a", FEATURES)
    path = tmp_path / "part1.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert parts.read(1, "a") is None


def test_parts_are_removed_and_nothing_else_is(tmp_path):
    parts = FeatureParts(tmp_path / "features")
    parts.remove()  # there are none
    parts.write(1, "a", FEATURES)
    parts.remove()
    assert not (tmp_path / "features").exists()
    parts.write(1, "a", FEATURES)
    (tmp_path / "features" / "notes.txt").write_text("mine")
    parts.remove()
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["notes.txt"]


def test_parts_end_where_batches_end():
    seconds = np.array([1.0, 2.0, 3.0, 4.0, 0.5])
    assert list(whole_batches([[0], [1, 2], [3], [4]], seconds, 5.0)) == [[0, 1, 2], [3, 4]]
    assert list(whole_batches([[0, 1]], seconds, 99.0)) == [[0, 1]]
