"""The table of codecs of egs/mini/run_groups.sh."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parent.parent.parent / "egs/mini/local"


@pytest.fixture(scope="module")
def codec_table():
    sys.path.insert(0, str(LOCAL))
    try:
        return import_module("codec_table")
    finally:
        sys.path.remove(str(LOCAL))


def report(wer):
    values = {"wer": wer, "stoi": 0.8, "mel_distance": 0.25}
    metrics = {name: {"all": {"value": value}} for name, value in values.items()}
    rows = [{"system": "Original", "metrics": {}}, {"system": "Codec round trip", "metrics": metrics}]
    codebooks = [{"level": level, "usage": 100.0 - 10 * level, "perplexity": 200.4} for level in range(2)]
    return {"sets": {"test": {"rows": rows}}, "codebooks": codebooks}


def test_a_codec_is_a_row_of_means_over_seeds(codec_table):
    lines = codec_table.render(["1x4", "2x2"], [[report(20.0), report(21.0)], [report(30.0), report(31.0)]], ["test"])
    rows = lines.splitlines()
    assert rows[1] == "The codecs' round trip of test, mean (each seed):"
    assert rows[5] == (
        "| `1x4` | 20.5 (20.0, 21.0) | 0.800 (0.800, 0.800) | 0.250 (0.250, 0.250) | 100 / 90 | 200 / 200 |"
    )
    assert rows[6].startswith("| `2x2` | 30.5")
