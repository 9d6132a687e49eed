"""Measurements by VERSA (github.com/wavlab-speech/versa), a collection of some hundred, where it is installed.

It runs as a process of its own on copies of the recordings, and its lines, one for each utterance, are joined to the
other measures. Their names get ``versa_`` before them; counts of an alignment become an error rate.
"""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from soundstorm.data.audio import Utterances, write_audio
from soundstorm.data.data_dir import write_table
from soundstorm.data.errors import InputError
from soundstorm.scoring.measures import Measured, Pair

logger = logging.getLogger(__name__)
SCORER = "versa.bin.scorer"
INSTALL = "pip install git+https://github.com/wavlab-speech/versa.git"
COUNTS = ("delete", "insert", "replace", "equal")  # of <recogniser>_wer and _cer
LAST_LINES = 5  # of its log, in a message

Values = Mapping[str, tuple[float, float]]  # as in `Measured`


def check_versa(config: str) -> None:
    """Refuse where VERSA or its configuration is missing.

    Raises:
        FileNotFoundError, ValueError: says what to do.
    """
    if not Path(config).is_file():
        raise FileNotFoundError(f"--versa {config}: no such file; expected a score_config of VERSA, as its egs/*.yaml")
    if find_spec("versa") is None:
        raise InputError(f"--versa {config}: VERSA is not installed here; install it by: {INSTALL}")


class Versa:
    """What VERSA said of a system's recordings, as one of the measures."""

    name = "versa"

    def __init__(self, found: Mapping[str, Values]):
        """``found``: of :func:`run_versa`."""
        self._found = found

    def __call__(self, pair: Pair) -> Measured:
        """Values of an utterance, measured with all others."""
        if pair.utt_id in self._found:
            return Measured(dict(self._found[pair.utt_id]))
        return Measured(undefined={self.name: "VERSA left it out, e.g. as too short"})


def run_versa(
    config: str,
    ids: Sequence[str],
    *,
    original: Utterances | None,
    decoded: Utterances,
    texts: Mapping[str, str],
    device: str = "cpu",
) -> dict[str, Values]:
    """Have VERSA measure recordings.

    Args:
        config: its score_config, a YAML file.
        ids: utterances to measure; those that cannot be read are left out.
        original: what they are compared with; None where they are the originals themselves.
        decoded: the recordings.
        texts: their references, for its error rates; it sees none where some lack.
        device: cpu or cuda.

    Returns:
        Utterance to its values.

    Raises:
        FileNotFoundError, ValueError: VERSA or its configuration is missing, or it failed.
    """
    check_versa(config)
    with tempfile.TemporaryDirectory(prefix="versa-") as name:
        folder = Path(name)
        sets = {"pred": decoded} if original is None else {"pred": decoded, "gt": original}
        tables = _write(folder, sets, ids)
        written = list(tables["pred"])
        output, log = folder / "scores.jsonl", folder / "log"
        command = [sys.executable, "-m", SCORER, "--score_config", config, "--io", "soundfile"]
        command += ["--output_file", str(output)]
        for kind, table in tables.items():
            write_table(folder / f"{kind}.scp", table)
            command += [f"--{kind}", str(folder / f"{kind}.scp")]
        if all(utt in texts for utt in written):
            write_table(folder / "text", {utt: texts[utt] for utt in written})
            command += ["--text", str(folder / "text")]
        if device != "cpu":
            command += ["--use_gpu", "true"]
        logger.info("VERSA measures %d utterances", len(written))
        with log.open("wb") as stream:
            status = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False).returncode
        if status or not output.is_file():
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
            raise InputError(f"--versa {config}: VERSA ended with status {status}, saying: {' / '.join(lines):.600}")
        return read_scores(output, config)


def _write(folder: Path, sets: Mapping[str, Utterances], ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Copies named by numbers, whatever the utterances are called: utterance to WAV, for each set."""
    tables: dict[str, dict[str, str]] = {kind: {} for kind in sets}
    for number, utt in enumerate(ids):
        try:
            wavs = {kind: recordings.read(utt) for kind, recordings in sets.items()}
        except (ValueError, OSError) as error:
            logger.warning("VERSA does not see %s: %s", utt, error)
            continue
        for kind, wav in wavs.items():
            tables[kind][utt] = str(folder / kind / f"{number}.wav")
            write_audio(tables[kind][utt], wav, sets[kind].sample_rate)
    return tables


def read_scores(path: Path, config: str) -> dict[str, Values]:
    """Utterance to its values, from the lines that VERSA writes: JSON objects with ``key``.

    Texts among the values are passed over, and numbers that are not finite.

    Args:
        path: the file.
        config: that it was made by, for messages.

    Raises:
        ValueError: a line of another form, or no number at all.
    """
    found: dict[str, Values] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            scores = json.loads(line)
        except (ValueError, RecursionError):
            scores = None
        if not isinstance(scores, dict) or not isinstance(scores.get("key"), str):
            raise InputError(
                f"line {number} of VERSA's output is {line!r:.80}, expected a JSON object with the utterance as key; "
                f"this version of VERSA is not understood, update it by: {INSTALL}"
            )
        found[scores.pop("key")] = _joined(scores)
    if not any(found.values()):
        raise InputError(f"VERSA measured nothing of {len(found)} utterances; does {config} name metrics it has here?")
    return found


def _joined(scores: Mapping[str, object]) -> Values:
    numbers = {
        name: float(value)
        for name, value in scores.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    values: dict[str, tuple[float, float]] = {}
    for kind in [name.removesuffix("_delete") for name in numbers if name.endswith(("_wer_delete", "_cer_delete"))]:
        counts = [numbers.pop(f"{kind}_{count}", 0.0) for count in COUNTS]
        delete, insert, replace, equal = counts
        if delete + replace + equal:
            values[f"versa_{kind}"] = 100.0 * (delete + insert + replace), delete + replace + equal
    return values | {f"versa_{name}": (value, 1.0) for name, value in numbers.items()}
