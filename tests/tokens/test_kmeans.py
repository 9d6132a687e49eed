"""k-means: nearest centroids, normalisation, files, portions, the same numbers from the same seed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from soundstorm.tokens.kmeans import KMeans, KMeansInfo, choose_portion, normalize_utterance, train_kmeans

INFO = KMeansInfo(
    features="mfcc",
    layer=None,
    features_fingerprint="abc",
    frame_rate=50.0,
    sample_rate=16000,
    num_clusters=4,
    normalization="none",
    library="sklearn",
    seed=0,
    portion=1.0,
    num_frames=10,
    inertia=1.0,
)
CENTRES = np.array([[0, 0, 5], [5, 0, 0], [0, 5, 0], [-5, -5, -5]], dtype=np.float32)


def blobs(num=6, length=40, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (CENTRES[rng.integers(4, size=length)] + 0.3 * rng.standard_normal((length, 3))).astype(np.float32)
        for _ in range(num)
    ]


def make(normalization="none", seed=0):
    centroids, shift, scale, inertia = train_kmeans(blobs(), 4, normalization=normalization, seed=seed)
    info = replace(INFO, normalization=normalization, inertia=inertia)
    return KMeans(info, centroids, shift, scale)


def test_centroids_are_found():
    kmeans = make()
    nearest = np.linalg.norm(kmeans.centroids[:, None] - CENTRES, axis=-1).min(0)
    assert nearest.max() < 0.2
    assert kmeans.info.inertia == pytest.approx(3 * 0.3**2, rel=0.2)


@pytest.mark.parametrize("normalization", ["none", "global", "utterance"])
def test_a_frame_gets_its_nearest_centroid(normalization):
    kmeans = make(normalization)
    features = blobs(1, seed=3)[0]
    frames = features
    if normalization == "utterance":
        frames = (features - features.mean(0)) / (features.std(0) + 1e-5)
    for token, frame in zip(kmeans.assign(features), frames, strict=True):
        frame = (frame - kmeans.shift) / kmeans.scale
        distances = [float(((frame - centroid) ** 2).sum()) for centroid in kmeans.centroids]
        assert token == int(np.argmin(distances))


def test_features_of_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="features of 2 dimensions and centroids of 3; train the k-means again"):
        make().assign(blobs(1)[0][:, :2])


def test_global_normalisation_is_that_of_all_frames():
    kmeans = make("global")
    frames = np.concatenate(blobs())
    np.testing.assert_allclose(kmeans.shift, frames.mean(0), atol=1e-5)
    np.testing.assert_allclose(kmeans.scale, frames.std(0), atol=1e-4)


def test_normalising_an_utterance_removes_its_own_shift_and_scale():
    features = blobs(1)[0]
    np.testing.assert_allclose(
        normalize_utterance(features), normalize_utterance(3 * features + 7), atol=1e-4
    )


def test_the_same_seed_gives_the_same_centroids():
    assert np.array_equal(make().centroids, make().centroids)
    assert make().fingerprint == make().fingerprint
    assert make().fingerprint != make(seed=1).fingerprint or np.array_equal(
        make().centroids, make(seed=1).centroids
    )


def test_what_is_saved_is_loaded(tmp_path):
    kmeans = make("global")
    kmeans.save(tmp_path / "k")
    loaded = KMeans.load(tmp_path / "k")
    assert loaded.info == kmeans.info and loaded.fingerprint == kmeans.fingerprint
    features = blobs(1)[0]
    assert np.array_equal(loaded.assign(features), kmeans.assign(features))
    assert sorted(p.name for p in (tmp_path / "k").iterdir()) == ["centroids.safetensors", "kmeans.json"]


def test_a_missing_directory_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="kmeans.json: no such file; train this k-means"):
        KMeans.load(tmp_path)


def test_centroids_of_another_training_are_refused(tmp_path):
    make().save(tmp_path / "a")
    make("global").save(tmp_path / "b")
    (tmp_path / "a/centroids.safetensors").write_bytes((tmp_path / "b/centroids.safetensors").read_bytes())
    with pytest.raises(ValueError, match="do not belong together; remove the directory"):
        KMeans.load(tmp_path / "a")


@pytest.mark.parametrize("damage", ["json", "fields", "centroids"])
def test_damaged_files_are_refused(tmp_path, damage):
    make().save(tmp_path)
    if damage == "json":
        (tmp_path / "kmeans.json").write_text("{")
    elif damage == "fields":
        (tmp_path / "kmeans.json").write_text(json.dumps({"fingerprint": "x", "colour": "red"}))
    else:
        (tmp_path / "centroids.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ValueError, match="not a k-means directory"):
        KMeans.load(tmp_path)


def test_more_clusters_than_frames_are_refused_and_few_frames_a_cluster_said(caplog):
    with pytest.raises(ValueError, match="40 frames cannot make 41 clusters; .* raise --portion"):
        train_kmeans(blobs(1), 41)
    train_kmeans(blobs(3), 4)
    assert not caplog.records
    train_kmeans(blobs(1), 2)
    assert "not normal: 40 frames for 2 clusters, fewer than 30 for each; " in caplog.text
    assert "raise --portion" in caplog.text


def test_features_that_are_not_finite_are_refused():
    features = blobs(1)
    features[0][3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        train_kmeans(features, 4)


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="normalization is 'loud', expected one of none, global, utterance"):
        train_kmeans(blobs(1), 4, normalization="loud")


def test_faiss_finds_the_centroids_or_says_how_to_get_it():
    try:
        import faiss  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match="pip install faiss-cpu"):
            train_kmeans(blobs(), 4, library="faiss")
        return
    centroids, *_ = train_kmeans(blobs(), 4, library="faiss")
    assert np.linalg.norm(centroids[:, None] - CENTRES, axis=-1).min(0).max() < 0.2


def test_a_portion_is_that_share_of_the_utterances_in_their_order():
    ids = [f"u{i:03d}" for i in range(100)]
    chosen = choose_portion(ids, 0.1, seed=0)
    assert len(chosen) == 10 and chosen == sorted(chosen) and chosen == choose_portion(ids, 0.1, seed=0)
    assert chosen != choose_portion(ids, 0.1, seed=1)
    assert choose_portion(ids, 1.0, seed=0) == ids and len(choose_portion(ids, 1e-6, seed=0)) == 1


@pytest.mark.parametrize("portion", [0.0, -1.0, 1.5])
def test_an_impossible_portion_is_refused(portion):
    with pytest.raises(ValueError, match="portion is .* expected more than 0 and at most 1"):
        choose_portion(["a"], portion, seed=0)
