"""Features of a CTC recogniser against the network's own chain."""

import numpy as np
import pytest
import torch

from soundstorm.data.log_mel import LogMel, stack_frames
from soundstorm.tokens.features import open_features
from tests.tokens.conftest import make_recognizer

HOP = 320  # samples


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exp") / "recognizer"
    return folder, make_recognizer(folder)


def noise(samples):
    return np.random.default_rng(samples).normal(scale=0.1, size=samples).astype(np.float32)


@pytest.mark.parametrize("samples, frames", [(320, 1), (639, 1), (640, 2), (16000, 50), (16319, 50)])
def test_a_frame_for_every_whole_hop(trained, samples, frames):
    features = open_features(f"recognizer:{trained[0]}", 1)
    (found,) = features.extract([noise(samples)])
    assert found.shape == (frames, 16) and found.dtype == np.float32
    assert features.frame_rate == 50 and features.sample_rate == 16000


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layer_is_what_leaves_its_block(trained, layer):
    folder, network = trained
    wav, passed = noise(20 * HOP), []
    layers = (network.stack.first_norm, *network.stack.blocks)
    hooks = [module.register_forward_hook(lambda *call: passed.append(call[2])) for module in layers]
    # Of one spectrum more than there is room for, the last one is dropped.
    frames = stack_frames(LogMel(8)(torch.from_numpy(wav)), 2)[None]
    with torch.no_grad():
        network(frames, torch.tensor([frames.shape[1]]))
    for hook in hooks:
        hook.remove()
    (found,) = open_features(f"recognizer:{folder}", layer).extract([wav])
    np.testing.assert_array_equal(found, passed[layer][0].numpy())


def test_frames_do_not_depend_on_the_company(trained):
    features, wavs = open_features(f"recognizer:{trained[0]}", 2), [noise(5 * HOP), noise(9 * HOP)]
    for together, (alone,) in zip(features.extract(wavs), ([*features.extract([wav])] for wav in wavs)):
        np.testing.assert_array_equal(together, alone)


def test_what_tokens_depend_on_is_in_the_fingerprint(trained):
    first, second = (open_features(f"recognizer:{trained[0]}", layer) for layer in (1, 2))
    assert first.fingerprint != second.fingerprint and first.source == f"recognizer:{trained[0]}"


def test_what_is_no_recogniser_or_has_no_such_layer_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match="layer 3 of .* was asked for, but it has layers 0 to 2"):
        open_features(f"recognizer:{trained[0]}", 3)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_features(f"recognizer:{tmp_path}/nowhere", 1)
    (tmp_path / "config.yaml").write_text("model: {}\n")
    with pytest.raises(ValueError, match="not a recogniser"):
        open_features(f"recognizer:{tmp_path}", 1)
