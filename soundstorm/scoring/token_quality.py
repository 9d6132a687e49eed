"""How much tokens say about phones: the measures of HuBERT, section IV-D, from phone times.

With ``p(y, z)`` the share of frames with phone ``y`` and token ``z``: phone purity is the accuracy of naming
each token's commonest phone, cluster purity the same the other way round, and phone-normalised mutual
information (PNMI) is ``I(y; z) / H(y)``, the share of the uncertainty about the phone that the token removes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from soundstorm.data.data_dir import parse_seconds, read_table, write_text
from soundstorm.data.errors import InputError

Interval = tuple[float, float, str]  # start s, end s, phone
LATEST = 1e9  # seconds: 31 years; what is later is a mistake, and no frame has a number that large


@dataclass(frozen=True)
class TokenQuality:
    """Measures over the frames of a data directory."""

    pnmi: float  # I(phone; token) / H(phone)
    phone_purity: float
    cluster_purity: float
    speaker_nmi: (
        float | None
    )  # I(speaker; token) / H(speaker): what tokens give away of the voice; None: one speaker
    num_tokens_used: int  # tokens that occur
    num_phones: int
    num_frames: int  # that lie in a phone
    num_utterances: int


def read_phones(path: str | Path) -> dict[str, list[Interval]]:
    """Phones of each utterance, from ``<utterance> <channel> <start s> <duration s> <phone>`` a line."""
    phones: dict[str, list[Interval]] = {}
    for utt, value in read_table(path).items():
        phones[utt] = []
        for line in value.splitlines():
            fields = line.split()
            try:
                start, duration, phone = parse_seconds(fields[1]), parse_seconds(fields[2]), fields[3]
                if not 0 <= start <= start + duration < LATEST:
                    raise ValueError
            except (IndexError, ValueError):
                raise InputError(
                    f"{path}, utterance {utt}: expected '<channel> <start> <duration> <phone>', got {line!r}"
                ) from None
            phones[utt].append((start, start + duration, phone))
    return phones


def frame_phones(intervals: list[Interval], num_frames: int, frame_rate: float) -> list[str | None]:
    """The phone at the middle of each frame, None where there is none."""
    phones: list[str | None] = [None] * num_frames
    for start, end, phone in intervals:
        # Middles (t + 0.5) / rate that lie in [start, end).
        first = max(int(np.ceil(start * frame_rate - 0.5 - 1e-9)), 0)
        last = min(int(np.ceil(end * frame_rate - 0.5 - 1e-9)), num_frames)
        phones[first:last] = [phone] * max(last - first, 0)
    return phones


def count_pairs(pairs: Iterable[tuple[object, int]]) -> np.ndarray:
    """Frames with each label and token: pairs to counts ``(labels, tokens)``."""
    pairs = list(pairs)
    labels, rows = np.unique(np.array([str(label) for label, _ in pairs]), return_inverse=True)
    tokens, columns = np.unique(np.array([token for _, token in pairs]), return_inverse=True)
    counts = np.zeros((len(labels), len(tokens)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def normalized_mutual_information(counts: np.ndarray) -> float | None:
    """``I(row; column) / H(row)`` of counts; None where there is only one row and so no entropy."""
    joint = counts / counts.sum()
    rows, columns = joint.sum(1), joint.sum(0)
    entropy = -(rows[rows > 0] * np.log(rows[rows > 0])).sum()
    if entropy <= 0:
        return None
    both = joint > 0
    information = (joint[both] * np.log(joint[both] / np.outer(rows, columns)[both])).sum()
    return float(information / entropy)


def measure_quality(
    tokens: Mapping[str, np.ndarray],
    phones: Mapping[str, list[Interval]],
    *,
    frame_rate: float,
    speakers: Mapping[str, str],
) -> TokenQuality:
    """Compare tokens with phones, over the utterances that have both.

    Args:
        tokens: utterance to tokens ``(T,)``.
        phones: utterance to phone intervals.
        frame_rate: tokens per second.
        speakers: utterance to speaker.

    Raises:
        ValueError: no utterance has both, or the phones are all the same.
    """
    phone_pairs: list[tuple[object, int]] = []
    speaker_pairs: list[tuple[object, int]] = []
    shared = [utt for utt in tokens if utt in phones]
    nobody = [utt for utt in shared if utt not in speakers]
    if nobody:
        raise InputError(
            f"utt2spk: no speaker of {nobody[0]} (and {len(nobody) - 1} more); run utils/fix_data_dir.sh on "
            "the data directory"
        )
    for utt in shared:
        sequence = np.asarray(tokens[utt]).tolist()
        for phone, token in zip(frame_phones(phones[utt], len(sequence), frame_rate), sequence):
            if phone is not None:
                phone_pairs.append((phone, token))
                speaker_pairs.append((speakers[utt], token))
    if not phone_pairs:
        raise InputError(
            f"none of {len(tokens)} utterances with tokens has phones; is it phones.ctm of the same set?"
        )
    counts = count_pairs(phone_pairs)
    pnmi = normalized_mutual_information(counts)
    if pnmi is None:
        raise InputError(
            f"all {len(phone_pairs)} frames have the same phone {phone_pairs[0][0]!r}; check phones.ctm"
        )
    return TokenQuality(
        pnmi=pnmi,
        phone_purity=float(counts.max(0).sum() / counts.sum()),
        cluster_purity=float(counts.max(1).sum() / counts.sum()),
        speaker_nmi=normalized_mutual_information(count_pairs(speaker_pairs)),
        num_tokens_used=counts.shape[1],
        num_phones=counts.shape[0],
        num_frames=len(phone_pairs),
        num_utterances=len(shared),
    )


def measure_sources(
    data_dir: str | Path, *, tokens: Iterable[str] = (), kmeans: Iterable[str] = ()
) -> dict[str, TokenQuality]:
    """Quality of archives, and of the tokens of k-means directories, made for the purpose.

    Args:
        data_dir: data directory with ``phones.ctm``.
        tokens: scp files.
        kmeans: k-means directories.

    Returns:
        Scp file or directory to its quality.
    """
    from soundstorm.data.archive import TokenArchive
    from soundstorm.data.audio import Utterances
    from soundstorm.tokens.merge import check_lost
    from soundstorm.tokens.semantic import SemanticTokenizer

    data_dir = Path(data_dir)
    if not (data_dir / "phones.ctm").is_file():
        raise FileNotFoundError(f"{data_dir / 'phones.ctm'}: no such file; token quality needs phone times")
    phones = read_phones(data_dir / "phones.ctm")
    speakers = read_table(data_dir / "utt2spk")
    results = {}
    for scp in tokens:
        archive = TokenArchive(scp)
        read = {utt: archive[utt] for utt in archive.ids}
        results[scp] = measure_quality(read, phones, frame_rate=archive.info.frame_rate, speakers=speakers)
    for directory in kmeans:
        tokenizer = SemanticTokenizer.load(directory)
        utterances = Utterances(data_dir, tokenizer.info.sample_rate, lower=True)
        made = dict(tokenizer.encode_utterances(utterances, leave_out=True))
        check_lost(utterances.ids, made, data_dir)
        results[directory] = measure_quality(
            made, phones, frame_rate=tokenizer.info.frame_rate, speakers=speakers
        )
    return results


def quality_table(results: Mapping[str, TokenQuality]) -> str:
    """A Markdown table, a line for each source."""
    lines = [
        "| tokens | used | PNMI | phone purity | cluster purity | speaker information |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, quality in results.items():
        speaker = "-" if quality.speaker_nmi is None else f"{quality.speaker_nmi:.3f}"
        lines.append(
            f"| {name} | {quality.num_tokens_used} | {quality.pnmi:.3f} | {quality.phone_purity:.3f} "
            f"| {quality.cluster_purity:.3f} | {speaker} |"
        )
    return "\n".join(lines)


def write_report(path: str | Path, results: Mapping[str, TokenQuality]) -> None:
    """Write the measures as JSON, whole or not at all."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    report = {name: asdict(quality) for name, quality in results.items()}
    write_text(path, json.dumps(report, indent=2) + "\n")
