"""k-means over frames of features: training, the files, and the nearest centroid.

A k-means directory has ``kmeans.json`` (where the features come from, how it was trained, fingerprint) and,
written last, ``centroids.safetensors``.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from soundstorm.data.data_dir import write_bytes
from soundstorm.data.errors import InputError
from soundstorm.data.records import make_record, read_json

logger = logging.getLogger(__name__)

CENTROIDS, DESCRIPTION = "centroids.safetensors", "kmeans.json"
NORMALIZATIONS = ("none", "global", "utterance")
FEW_FRAMES = 30  # a cluster: with fewer, centroids are single frames rather than means


@dataclass(frozen=True)
class KMeansInfo:
    """Everything about a k-means but its numbers."""

    features: str  # "mfcc", or directory or hub name of a model, the latter as "<name>@<commit>"
    layer: int | None  # of that model
    features_fingerprint: str  # of the features it was trained on
    frame_rate: float  # frames per second
    sample_rate: int  # Hz
    num_clusters: int  # K
    normalization: str  # of frames before clustering: none, global or utterance
    library: str  # that trained it
    seed: int
    portion: float  # of the utterances that it saw
    num_frames: int  # that it saw
    inertia: float  # mean squared distance of those to their centroids


@dataclass(frozen=True)
class KMeans:
    """Centroids, and how a frame is normalised before it is compared with them."""

    info: KMeansInfo
    centroids: np.ndarray  # (K, D) float32
    shift: np.ndarray  # (D,) float32: subtracted from every frame
    scale: np.ndarray  # (D,) float32: then divided by

    @property
    def fingerprint(self) -> str:
        """sha256 over the numbers and the features they belong to."""
        digest = hashlib.sha256(f"{self.info.features_fingerprint} {self.info.normalization}".encode())
        for array in (self.centroids, self.shift, self.scale):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def normalize(self, features: np.ndarray) -> np.ndarray:
        """Frames of one utterance ``(T, D)`` as they are compared with the centroids."""
        if features.shape[1] != self.centroids.shape[1]:
            raise InputError(
                f"features of {features.shape[1]} dimensions and centroids of {self.centroids.shape[1]}; "
                "train the k-means again"
            )
        frames = normalize_utterance(features) if self.info.normalization == "utterance" else features
        return (frames - self.shift) / self.scale

    def assign(self, features: np.ndarray) -> np.ndarray:
        """Nearest centroid of each frame of one utterance: ``(T, D)`` float32 to ``(T,)`` int64."""
        # |x - c|^2 without |x|^2, which is the same for all centroids.
        distances = (self.centroids**2).sum(1) - 2 * self.normalize(features) @ self.centroids.T
        return distances.argmin(1).astype(np.int64)

    def assign_on(self, device: str) -> Callable[[np.ndarray], np.ndarray]:
        """:meth:`assign` as the device has it: itself on a CPU, where torch rounds differently now and then."""
        import torch

        from soundstorm.models.devices import exact_products

        if torch.device(device).type == "cpu":
            return self.assign
        centroids = torch.from_numpy(self.centroids).to(device)
        squares = centroids.square().sum(1)

        @torch.no_grad()
        @exact_products()
        def assign(features: np.ndarray) -> np.ndarray:
            frames = torch.from_numpy(self.normalize(features)).to(device)
            return torch.addmm(squares, frames, centroids.T, alpha=-2).argmin(1).cpu().numpy()

        return assign

    def save(self, directory: str | Path) -> None:
        """Write the directory; the centroids last, so that their presence means done."""
        from safetensors.numpy import save

        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        description = {**asdict(self.info), "fingerprint": self.fingerprint}
        write_bytes(directory / DESCRIPTION, (json.dumps(description, indent=2) + "\n").encode())
        arrays = {"centroids": self.centroids, "shift": self.shift, "scale": self.scale}
        write_bytes(
            directory / CENTROIDS, save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        )

    @classmethod
    def load(cls, directory: str | Path) -> KMeans:
        """Read a directory that :meth:`save` wrote.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the files are damaged or do not belong together.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        directory = Path(directory)
        for name in (DESCRIPTION, CENTROIDS):
            if not (directory / name).is_file():
                raise FileNotFoundError(
                    f"{directory / name}: no such file; train this k-means with train_kmeans"
                )
        try:
            description = read_json(directory / DESCRIPTION, "remove the directory and train it again")
            fingerprint = str(description.pop("fingerprint"))
            info = make_record(KMeansInfo, description, DESCRIPTION)
            arrays = load_file(directory / CENTROIDS)
            kmeans = cls(info, arrays["centroids"], arrays["shift"], arrays["scale"])
            shapes = kmeans.centroids.shape[:1], kmeans.shift.shape, kmeans.scale.shape
            if shapes != ((info.num_clusters,), kmeans.centroids.shape[1:], kmeans.centroids.shape[1:]):
                raise InputError(f"the arrays have the shapes {shapes} for {info.num_clusters} clusters")
            if any(array.dtype != np.float32 for array in arrays.values()):
                raise InputError("the numbers are not float32")
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            raise InputError(
                f"{directory}: not a k-means directory ({error!r}); remove it and train it again"
            ) from error
        if kmeans.fingerprint != fingerprint:
            raise InputError(
                f"{directory}: {CENTROIDS} ({kmeans.fingerprint[:12]}) and "
                f"{DESCRIPTION} ({fingerprint[:12]}) do not belong together; "
                "remove the directory and train it again"
            )
        return kmeans


def normalize_utterance(features: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance of every dimension over an utterance ``(T, D)``: much of the voice goes."""
    return (features - features.mean(0)) / (features.std(0) + 1e-5)


def choose_portion(ids: list[str], portion: float, seed: int) -> list[str]:
    """That portion of the utterances, at least one, drawn without looking at them; in their order."""
    if not 0 < portion <= 1:
        raise InputError(f"portion is {portion}, expected more than 0 and at most 1")
    chosen = np.random.default_rng((seed, 1)).permutation(len(ids))[: max(1, round(portion * len(ids)))]
    return [ids[index] for index in sorted(chosen)]


def train_kmeans(
    utterances: list[np.ndarray],
    num_clusters: int,
    *,
    normalization: str = "none",
    library: str = "sklearn",
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Cluster the frames of utterances.

    Args:
        utterances: features ``(T, D)`` of each.
        num_clusters: K.
        normalization: ``none``; ``global``: every dimension to zero mean and unit variance over all frames;
            ``utterance``: the same over each utterance.
        library: ``sklearn`` (mini-batch, started by k-means++; the better centroids) or ``faiss`` (for much
        data).
        seed: of starts and batches.

    Returns:
        Centroids ``(K, D)``, shift ``(D,)``, scale ``(D,)`` and the mean squared distance of a frame to its
        centroid.
    """
    if normalization not in NORMALIZATIONS:
        raise InputError(f"normalization is {normalization!r}, expected one of {', '.join(NORMALIZATIONS)}")
    if normalization == "utterance":
        utterances = [normalize_utterance(features) for features in utterances]
    frames = np.concatenate(utterances).astype(np.float32, copy=False)
    remedy = "lower the number of clusters, or take more data: raise --portion where it is below 1"
    if len(frames) < num_clusters:
        raise InputError(f"{len(frames)} frames cannot make {num_clusters} clusters; {remedy}")
    if len(frames) < FEW_FRAMES * num_clusters:
        few = "not normal: %d frames for %d clusters, fewer than %d for each; %s"
        logger.warning(few, len(frames), num_clusters, FEW_FRAMES, remedy)
    if not np.isfinite(frames).all():
        raise InputError(
            "some features are NaN or infinite; look for broken recordings, or train the model again"
        )
    shift, scale = np.zeros(frames.shape[1], np.float32), np.ones(frames.shape[1], np.float32)
    if normalization == "global":
        shift, scale = frames.mean(0), frames.std(0) + 1e-5
        frames = (frames - shift) / scale
    centroids = {"sklearn": _sklearn, "faiss": _faiss}[library](frames, num_clusters, seed)
    distances = [
        ((part**2).sum(1) + ((centroids**2).sum(1) - 2 * part @ centroids.T).min(1)).sum(dtype=np.float64)
        for part in np.array_split(frames, max(1, len(frames) // 10000))
    ]
    return centroids.astype(np.float32), shift, scale, float(sum(distances) / len(frames))


def _sklearn(frames: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    from sklearn.cluster import MiniBatchKMeans

    clustering = MiniBatchKMeans(
        num_clusters,
        init="k-means++",
        n_init=3,  # starts, compared on init_size frames
        init_size=max(3 * num_clusters, min(len(frames), 10000)),
        batch_size=10000,
        max_iter=100,
        max_no_improvement=50,
        tol=0.0,
        reassignment_ratio=0.0,
        random_state=seed,
    )
    return clustering.fit(frames).cluster_centers_


def _faiss(frames: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    try:
        import faiss
    except ImportError as error:
        raise InputError("library 'faiss' is not installed; pip install faiss-cpu, or use sklearn") from error
    clustering = faiss.Kmeans(
        frames.shape[1], num_clusters, niter=50, nredo=3, seed=seed + 1, max_points_per_centroid=10**9
    )
    clustering.train(np.ascontiguousarray(frames))
    return clustering.centroids
