"""ABX of features, semantic tokens and acoustic tokens of one data directory, by name."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenArchive
from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.errors import InputError
from soundstorm.models.hub import split_choice
from soundstorm.scoring.abx import AbxResult, Representation, make_tasks, measure_abx
from soundstorm.scoring.abx_config import AbxConfig
from soundstorm.scoring.dtw import angular, mismatch
from soundstorm.scoring.token_quality import Interval, read_phones
from soundstorm.tokens.features import open_features
from soundstorm.tokens.merge import check_lost
from soundstorm.tokens.semantic import SemanticTokenizer, extract_batches

logger = logging.getLogger(__name__)
ANGULAR = "angle between vectors"
ONE_HOT = "share of levels that differ (one-hot)"


def abx_of_sources(
    data_dir: str | Path,
    config: AbxConfig,
    *,
    features: Sequence[str] = (),
    kmeans: Sequence[str] = (),
    acoustic: Sequence[str] = (),
    codec: str | None = None,
    device: str = "cpu",
) -> dict[str, AbxResult]:
    """Measure everything on the same comparisons.

    Args:
        data_dir: with ``phones.ctm`` and ``utt2spk``.
        config: which comparisons.
        features: ``mfcc``, or ``<as open_features has it>@<layer>``.
        kmeans: k-means directories: features as it normalises them, tokens, and the centroids they stand for.
        acoustic: scp files of acoustic tokens, as they are.
        codec: experiment directory whose codebooks turn acoustic tokens into vectors too.
        device: where a model runs.

    Returns:
        Name of the representation to its errors.

    Raises:
        ValueError: fewer than 95 % of the utterances have features.
    """
    data_dir = Path(data_dir)
    if not (data_dir / "phones.ctm").is_file():
        raise FileNotFoundError(f"{data_dir / 'phones.ctm'}: no such file; ABX needs phone times")
    phones = read_phones(data_dir / "phones.ctm")
    for scp in acoustic:  # utterances that the codec could not read are not compared
        present = set(TokenArchive(scp).ids)
        phones = {utt: spans for utt, spans in phones.items() if utt in present}
    everybody = list(phones)
    while True:
        try:
            return _abx_of(data_dir, phones, config, features, kmeans, acoustic, codec, device)
        except _LeftOut as error:  # all again: everything is measured on the same comparisons
            phones = {utt: spans for utt, spans in phones.items() if utt not in error.utterances}
            check_lost(everybody, phones, data_dir, "features")


class _LeftOut(Exception):
    """Some utterances have no features; warnings say why."""

    def __init__(self, utterances: set[str]):
        super().__init__(utterances)
        self.utterances = utterances


def _abx_of(
    data_dir: Path,
    phones: Mapping[str, list[Interval]],
    config: AbxConfig,
    features: Sequence[str],
    kmeans: Sequence[str],
    acoustic: Sequence[str],
    codec: str | None,
    device: str,
) -> dict[str, AbxResult]:
    tasks = make_tasks(phones, read_table(data_dir / "utt2spk"), config)
    used = sorted({tasks.items[i].utterance for c in tasks.within + tasks.across for i in (*c.a, *c.b, *c.x)})
    logger.info("%s: %d cells within and %d across speakers, of %d occurrences; context: %s",
                data_dir, len(tasks.within), len(tasks.across), len(tasks.items), tasks.context)  # fmt: skip
    results = {}
    representations = chain(
        _of_features(data_dir, used, features, device),
        _of_kmeans(data_dir, used, kmeans, device),
        _of_acoustic(used, acoustic, codec),
    )
    for name, representation in representations:
        results[name] = measure_abx(representation, tasks)
        logger.info("%s: %s", name, _summary(results[name]))
    return results


def _of_features(data_dir: Path, used: list[str], sources: Sequence[str], device: str):
    for source in sources:
        name, layer = split_choice(source)
        if layer and not layer.isdecimal():
            raise InputError(f"--features {source}: expected a layer's number after the @, got {layer!r}")
        extractor = open_features(name, int(layer) if layer else None, device=device)
        frames = _extract(extractor, data_dir, used)
        yield source, Representation(frames, extractor.frame_rate, angular, ANGULAR)


def _extract(extractor, data_dir: Path, used: list[str]) -> dict[str, np.ndarray]:
    utterances = Utterances(data_dir, extractor.sample_rate, used, lower=True)
    batches = extract_batches(extractor, utterances, leave_out=True)
    found = {utt: frames for ids, arrays in batches for utt, frames in zip(ids, arrays)}
    if lost := set(used) - found.keys():
        raise _LeftOut(lost)
    return found


def _of_kmeans(
    data_dir: Path, used: list[str], directories: Sequence[str], device: str
) -> Iterator[tuple[str, Representation]]:
    for directory in directories:
        tokenizer = SemanticTokenizer.load(directory, device=device)
        rate, name = tokenizer.info.frame_rate, tokenizer.info.name
        features = _extract(tokenizer.features, data_dir, used)
        normalized = {utt: tokenizer.kmeans.normalize(frames) for utt, frames in features.items()}
        yield f"{name}, its features", Representation(normalized, rate, angular, ANGULAR)
        tokens = {utt: tokenizer.assign(frames) for utt, frames in features.items()}
        yield f"{name}, tokens", Representation(_column(tokens), rate, mismatch, ONE_HOT)
        centroids = {utt: tokenizer.kmeans.centroids[sequence] for utt, sequence in tokens.items()}
        yield f"{name}, centroids", Representation(centroids, rate, angular, ANGULAR)


def _column(tokens: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {utt: np.asarray(sequence)[:, None] for utt, sequence in tokens.items()}


def _of_acoustic(
    used: list[str], archives: Sequence[str], codec: str | None
) -> Iterator[tuple[str, Representation]]:
    for scp in archives:
        archive = TokenArchive(scp)
        name, rate = archive.info.name, archive.info.frame_rate
        codes = {utt: archive[utt].astype(np.int64) for utt in used}
        first = {utt: levels[:, :1] for utt, levels in codes.items()}
        yield f"{name}, tokens of level 1", Representation(first, rate, mismatch, ONE_HOT)
        if archive.info.num_levels > 1:
            yield f"{name}, tokens of all levels", Representation(codes, rate, mismatch, ONE_HOT)
        if codec is not None:
            from soundstorm.tokens.acoustic import load_codebooks

            books = load_codebooks(codec, scp).numpy()  # (Q, N, D)
            vectors = {utt: books[np.arange(len(books)), levels].sum(1) for utt, levels in codes.items()}
            yield f"{name}, sum of codebook vectors", Representation(vectors, rate, angular, ANGULAR)


def _summary(result: AbxResult) -> str:
    scores = (("within", result.within), ("across", result.across))
    return ", ".join(f"{name} speakers {score.error:.1f} %" for name, score in scores if score is not None)
