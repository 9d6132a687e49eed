"""Semantic tokens: the cluster that a frame of features falls into."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import Utterances
from soundstorm.data.batching import batch_by_length
from soundstorm.data.errors import InputError
from soundstorm.data.feature_parts import FeatureParts, whole_batches
from soundstorm.data.pack import own_ssl_model, part_of
from soundstorm.tokens.features import FeatureExtractor, open_features
from soundstorm.tokens.kmeans import KMeans, KMeansInfo, choose_portion, train_kmeans
from soundstorm.tokens.merge import check_lost

logger = logging.getLogger(__name__)

GPU_BATCH_SECONDS = 200.0  # padded; as many as keep one busy


class SemanticTokenizer:
    """Recordings to semantic tokens; a k-means directory says all it needs."""

    def __init__(self, kmeans: KMeans, features: FeatureExtractor):
        """
        Args:
            kmeans: the centroids.
            features: what they are centroids of.

        Raises:
            ValueError: the k-means was trained on other features.
        """
        if features.fingerprint != kmeans.info.features_fingerprint:
            raise InputError(
                f"the k-means was trained on features of {kmeans.info.features} with the fingerprint "
                f"{kmeans.info.features_fingerprint[:12]}, but they now have {features.fingerprint[:12]}: "
                "the model there has changed; train the k-means again"
            )
        self.kmeans, self.features, self.assign = kmeans, features, kmeans.assign_on(features.device)
        self.info = TokenizerInfo(
            kind="semantic",
            name=f"{features_name(features.source, features.layer)}, {kmeans.info.num_clusters} clusters",
            fingerprint=kmeans.fingerprint,
            frame_rate=features.frame_rate,
            num_levels=1,
            codebook_size=kmeans.info.num_clusters,
            sample_rate=features.sample_rate,
        )

    @classmethod
    def load(cls, directory: str | Path, *, device: str = "cpu") -> SemanticTokenizer:
        """The tokenizer of a k-means directory. A relative path of a model in it starts from where we run."""
        directory = part_of(directory, "kmeans")
        kmeans = KMeans.load(directory)
        source = own_ssl_model(directory, kmeans.info.features)
        try:
            features = open_features(source, kmeans.info.layer, device=device, local_only=True)
            return cls(kmeans, features)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{directory} names its features: {error}") from error
        except ValueError as error:
            raise InputError(f"{directory} names its features: {error}") from error

    def encode(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Tokens of recordings: ``(S,)`` float32 each, to ``(S // hop,)`` int64 each."""
        return [self.assign(features) for features in self.features.extract(wavs)]

    def encode_utterances(
        self, utterances: Utterances, *, batch_seconds: float | None = None, leave_out: bool = False
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Ids and tokens ``(T,)`` of all utterances, in order; options as of :func:`extract_batches`."""
        for ids, features in extract_batches(
            self.features, utterances, batch_seconds=batch_seconds, leave_out=leave_out
        ):
            yield from zip(ids, map(self.assign, features))


def features_name(source: str, layer: int | None) -> str:
    """For people: ``mfcc``, ``exp/hubert/hubert layer 3``."""
    return source if layer is None else f"{source} layer {layer}"


def _seconds_in_batch(features: FeatureExtractor, asked: float | None) -> float:
    if asked is None:
        return 0.0 if torch.device(features.device).type == "cpu" else GPU_BATCH_SECONDS
    return asked


def extract_batches(
    features: FeatureExtractor,
    utterances: Utterances,
    *,
    batch_seconds: float | None = None,
    leave_out: bool = False,
) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Features of all utterances, several at a time.

    Args:
        features: the extractor.
        utterances: what to read.
        batch_seconds: padded seconds in a batch, 0 for one utterance at a time; by default the latter on a CPU, where
            that is as fast and features do not depend on the division into jobs, to the last bit.
        leave_out: skip unreadable and too short recordings with a warning, instead of an error.

    Yields:
        Ids of a batch with their features ``(T, D)``.
    """
    start, total = time.monotonic(), float(utterances.durations.sum())
    seconds = _seconds_in_batch(features, batch_seconds)
    batches = batch_by_length(utterances.durations, seconds, sort=False)
    for ids, read in utterances.read_ahead([utterances.ids[index] for index in batch] for batch in batches):
        found = None
        try:
            found = features.extract(read.result())
        except (ValueError, FileNotFoundError) as error:
            if not leave_out:
                raise InputError(f"{utterances.data_dir}, {', '.join(ids)}: {error}") from error
            ids, found = _one_by_one(features, utterances, ids)
        except torch.cuda.OutOfMemoryError:
            if len(ids) == 1:
                raise
        if found is None:  # not in the handler, whose traceback keeps what the batch had on the GPU
            logger.info("%d utterances are too many for the GPU's memory: one by one", len(ids))
            ids, found = _one_by_one(features, utterances, ids)
        if ids:
            yield ids, found
    logger.info(
        "%s: %d utterances, %.0f s of audio in %.1f s",
        utterances.data_dir,
        len(utterances),
        total,
        time.monotonic() - start,
    )


def _one_by_one(
    features: FeatureExtractor, utterances: Utterances, ids: list[str]
) -> tuple[list[str], list[np.ndarray]]:
    """Features of those of a batch that have any."""
    found = {}
    for utt in ids:
        try:
            (found[utt],) = features.extract([utterances.read(utt)])
        except (ValueError, FileNotFoundError) as error:
            logger.warning("%s is left out: %s", utt, error)
    return list(found), list(found.values())


def _extract(
    features: FeatureExtractor, utterances: Utterances, batch_seconds: float
) -> dict[str, np.ndarray]:
    """Features of all utterances that have any."""
    batches = extract_batches(features, utterances, batch_seconds=batch_seconds, leave_out=True)
    return {utt: part for names, batch in batches for utt, part in zip(names, batch)}


def _extract_in_parts(
    features: FeatureExtractor, utterances: Utterances, batch_seconds: float, parts: FeatureParts
) -> dict[str, np.ndarray]:
    """The same bit for bit, as a part begins with a batch; only of parts that are not there."""
    found: dict[str, np.ndarray] = {}
    batches = list(batch_by_length(utterances.durations, batch_seconds, sort=False))
    for number, members in enumerate(whole_batches(batches, utterances.durations, parts.seconds), start=1):
        part = utterances.part([utterances.ids[index] for index in members])
        inputs = _inputs_digest(features, part, batch_seconds)
        known = parts.read(number, inputs)
        if known is None:
            known = _extract(features, part, batch_seconds)
            parts.write(number, inputs, known)
        elif lost := [utt for utt in part.ids if utt not in known]:  # it may have been repaired
            known |= dict(zip(*_one_by_one(features, part, lost)))
        found |= {utt: known[utt] for utt in part.ids if utt in known}
    return found


def _inputs_digest(features: FeatureExtractor, utterances: Utterances, batch_seconds: float) -> str:
    """What features depend on: the extractor, the tables of recordings as files, utterances and batches."""
    tables = [utterances.data_dir / name for name in ("wav.scp", "segments")]
    stamps = [[path.stat().st_size, path.stat().st_mtime_ns] for path in tables if path.is_file()]
    told = [features.fingerprint, stamps, list(utterances.ids), utterances.durations.tolist(), batch_seconds]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def train_semantic_kmeans(
    features: FeatureExtractor,
    utterances: Utterances,
    num_clusters: int,
    *,
    portion: float = 1.0,
    normalization: str = "none",
    library: str = "sklearn",
    seed: int = 0,
    batch_seconds: float | None = None,
    parts: FeatureParts | None = None,
) -> KMeans:
    """k-means over the features of a portion of the utterances; arguments as of :func:`train_kmeans` and
    :func:`extract_batches`.

    Features are kept in ``parts`` on the way, and taken from there.
    """
    batch_seconds = _seconds_in_batch(features, batch_seconds)
    ids = choose_portion(utterances.ids, portion, seed)
    chosen = Utterances(utterances.data_dir, features.sample_rate, ids, lower=utterances.lower)
    if parts is None:
        found = _extract(features, chosen, batch_seconds)
    else:
        found = _extract_in_parts(features, chosen, batch_seconds, parts)
    for utt in [utt for utt, part in found.items() if not np.isfinite(part).all()]:
        logger.warning("%s is left out: its features are NaN or infinite", utt)
        del found[utt]
    check_lost(ids, found.keys(), utterances.data_dir)
    frames = list(found.values())
    start = time.monotonic()
    centroids, shift, scale, inertia = train_kmeans(
        frames, num_clusters, normalization=normalization, library=library, seed=seed
    )
    num_frames = sum(map(len, frames))
    logger.info(
        "%d clusters of %d frames in %.1f s, inertia %.4g a frame",
        num_clusters,
        num_frames,
        time.monotonic() - start,
        inertia,
    )
    info = KMeansInfo(
        features=features.source,
        layer=features.layer,
        features_fingerprint=features.fingerprint,
        frame_rate=features.frame_rate,
        sample_rate=features.sample_rate,
        num_clusters=num_clusters,
        normalization=normalization,
        library=library,
        seed=seed,
        portion=portion,
        num_frames=num_frames,
        inertia=inertia,
    )
    return KMeans(info, centroids, shift, scale)
