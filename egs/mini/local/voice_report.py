"""Check with a speaker-verification model (Resemblyzer) that the voices of the corpus are different people.

Each voice is enrolled with some sentences; others are given to the nearest voice. Writes data/voice_report.json and a
line to stdout, and fails where the voices cannot be told apart.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from soundstorm.bin.common import provide_numba_cache
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table, write_text

SAMPLE_RATE = 16000
ENROLMENT, TRIALS = 3, 2  # sentences per voice
LONGEST = 4.0  # seconds of a sentence that are looked at
MIN_IDENTIFIED = 0.95


def equal_error_rate(same: np.ndarray, different: np.ndarray) -> float:
    """Rate at which as many pairs of one voice are refused as pairs of two are accepted."""
    thresholds = np.sort(np.concatenate([same, different]))
    refused = np.searchsorted(np.sort(same), thresholds) / len(same)
    accepted = 1 - np.searchsorted(np.sort(different), thresholds) / len(different)
    at = int(np.argmin(np.abs(refused - accepted)))
    return float((refused[at] + accepted[at]) / 2)


def compare(enrolled: dict[str, np.ndarray], trials: dict[str, np.ndarray]) -> dict:
    """Figures of how well voices are told apart.

    Args:
        enrolled: voice to embeddings ``(utterances, D)`` of unit length.
        trials: the same of other utterances of the same voices.
    """
    voices = sorted(enrolled)
    centroids = np.stack([enrolled[voice].mean(axis=0) for voice in voices])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    scores = np.concatenate([trials[voice] @ centroids.T for voice in voices])
    owner = np.concatenate([np.full(len(trials[voice]), at) for at, voice in enumerate(voices)])
    own = owner[:, None] == np.arange(len(voices))

    between = centroids @ centroids.T - 2 * np.eye(len(voices))
    first, second = np.unravel_index(int(between.argmax()), between.shape)
    return {
        "voices": len(voices),
        "trials": len(owner),
        "identified": round(float((scores.argmax(axis=1) == owner).mean()), 4),
        "equal_error_rate": round(equal_error_rate(scores[own], scores[~own]), 4),
        "similarity_same_voice": round(float(scores[own].mean()), 4),
        "similarity_other_voice": round(float(scores[~own].mean()), 4),
        "most_similar_voices": [voices[first], voices[second]],
        "most_similar": round(float(between.max()), 4),
        "nearest": {
            voice: [voices[int(between[at].argmax())], round(float(between[at].max()), 4)]
            for at, voice in enumerate(voices)
        },
    }


def embed(data_dirs: list[Path]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Embeddings of the sentences of every voice, dialogues left out: (to enrol, for trials)."""
    import torch
    provide_numba_cache()
    from resemblyzer import VoiceEncoder

    torch.set_num_threads(1)
    encoder = VoiceEncoder("cpu", verbose=False)
    embeddings: dict[str, list[np.ndarray]] = {}
    for data_dir in data_dirs:
        utterances = Utterances(data_dir, SAMPLE_RATE)
        for utt, speaker in read_table(data_dir / "utt2spk").items():
            found = embeddings.setdefault(speaker, [])
            if not speaker.startswith("dlg-") and len(found) < ENROLMENT + TRIALS:
                wav = utterances.read(utt)[: int(LONGEST * SAMPLE_RATE)]
                found.append(encoder.embed_utterance(wav))
    voices = {voice: np.stack(found) for voice, found in embeddings.items() if len(found) > 1}
    enrolment = {voice: min(ENROLMENT, len(found) - 1) for voice, found in voices.items()}
    return (
        {voice: found[: enrolment[voice]] for voice, found in voices.items()},
        {voice: found[enrolment[voice] :] for voice, found in voices.items()},
    )


def main(argv: list[str] | None = None) -> None:
    """Command line, see local/data.sh."""
    parser = argparse.ArgumentParser(description="Check that the voices of the corpus are told apart.")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the data directories are")
    args = parser.parse_args(argv)

    output, corpus = args.data_dir / "voice_report.json", args.data_dir / "train" / "utt2dur"
    if not output.exists() or output.stat().st_mtime_ns < corpus.stat().st_mtime_ns:
        report = compare(*embed([args.data_dir / "train", args.data_dir / "test_unseen"]))
        write_text(output, json.dumps(report, indent=1) + "\n")
    report = json.loads(output.read_text())
    nearest = " and ".join(report["most_similar_voices"])
    print(
        f"{report['voices']} voices: {report['identified']:.1%} of {report['trials']} sentences identified, "
        f"equal error rate {report['equal_error_rate']:.1%}, most similar {nearest} ({report['most_similar']:.2f})"
    )
    if report["identified"] < MIN_IDENTIFIED:
        raise ValueError(
            f"{output}: {report['identified']:.1%} of the sentences are given to the right voice, at least "
            f"{MIN_IDENTIFIED:.0%} expected; change the voices nearest to each other in local/voices.py"
        )


if __name__ == "__main__":
    try:
        main()
    except (ImportError, ValueError, OSError) as error:
        sys.exit(f"voice_report.py: {error}")
