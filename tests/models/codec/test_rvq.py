import math
import multiprocessing
import socket

import pytest
import torch
import torch.distributed as dist

from soundstorm.models.codec.rvq import ResidualVectorQuantizer, kmeans, nearest


def make(**options) -> ResidualVectorQuantizer:
    settings = {"dim": 6, "num_levels": 3, "codebook_size": 8} | options
    return ResidualVectorQuantizer(**settings)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quantize_with_loops(vector, codebooks):
    """One frame, read aloud from the paper: the nearest code of what is left, level by level."""
    left, total, codes = vector.clone(), torch.zeros_like(vector), []
    for codebook in codebooks:
        best, best_distance = None, math.inf
        for index, code in enumerate(codebook):
            distance = sum(float(a - b) ** 2 for a, b in zip(left, code))
            if distance < best_distance:
                best, best_distance = index, distance
        codes.append(best)
        total += codebook[best]
        left -= codebook[best]
    return total, codes


def test_codes_and_latents_equal_those_of_slow_loops():
    quantizer = make().eval()
    latents = noise(2, 5, 6)
    result = quantizer(latents)
    for b in range(2):
        for t in range(5):
            total, codes = quantize_with_loops(latents[b, t], quantizer.codebooks)
            assert result.codes[b, t].tolist() == codes
            torch.testing.assert_close(result.latents[b, t], total)


def test_decoding_the_codes_gives_the_quantized_latents():
    quantizer = make(code_dim=4).eval()
    result = quantizer(noise(2, 5, 6))
    torch.testing.assert_close(quantizer.decode(result.codes), result.latents)


def test_each_level_makes_the_error_smaller_after_kmeans():
    quantizer = make(codebook_size=16).train()
    latents = noise(4, 50, 6)
    quantizer(latents)
    quantizer.eval()
    codes = quantizer(latents).codes
    errors = [float((quantizer.decode(codes[..., :k]) - latents).square().mean()) for k in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]


def test_gradient_passes_straight_through():
    quantizer = make().eval()
    latents = noise(2, 5, 6).requires_grad_()
    weights = noise(2, 5, 6, seed=1)
    (quantizer(latents).latents * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)


def test_commitment_is_the_mean_over_levels_of_the_distance_to_the_code():
    quantizer = make().eval()
    latents = noise(2, 5, 6)
    codes, left, distances = quantizer(latents).codes, latents.clone(), []
    for level in range(3):
        left = left - quantizer.codebooks[level][codes[..., level]]
        distances.append(left.square().mean())
    torch.testing.assert_close(quantizer(latents).commitment, torch.stack(distances).mean())


def test_dropout_keeps_the_coarsest_levels_of_each_example():
    quantizer = make().eval()
    latents = noise(3, 4, 6)
    result = quantizer(latents, None, torch.tensor([1, 2, 3]))
    for example, kept in enumerate((1, 2, 3)):
        wanted = quantizer.decode(result.codes[example : example + 1, :, :kept])[0]
        torch.testing.assert_close(result.latents[example], wanted)


def test_dropped_levels_do_not_count_as_commitment():
    quantizer = make().eval()
    latents = noise(1, 4, 6)
    kept = quantizer(latents, None, torch.tensor([1]))
    distance = (latents - quantizer.decode(kept.codes[..., :1])).square().mean()
    torch.testing.assert_close(kept.commitment, distance)


def test_moving_averages_equal_those_of_slow_loops():
    quantizer = make(num_levels=1, decay=0.9, dead_code_usage=0.0).train()
    quantizer(noise(4, 20, 6))  # k-means
    counts, sums = quantizer.counts[0].clone(), quantizer.sums[0].clone()
    latents = noise(2, 10, 6, seed=1)
    codes = quantizer(latents).codes
    for code in range(8):
        frames = [latents[b, t] for b in range(2) for t in range(10) if codes[b, t, 0] == code]
        counts[code] = 0.9 * counts[code] + 0.1 * len(frames)
        sums[code] = 0.9 * sums[code] + 0.1 * sum(frames, torch.zeros(6))
    torch.testing.assert_close(quantizer.counts[0], counts)
    torch.testing.assert_close(quantizer.codebooks[0], sums / counts[:, None])


def test_padding_is_not_learned_from():
    latents = noise(2, 10, 6)
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 4:] = False
    first, second = make().train(), make().train()
    changed = latents.clone()
    changed[1, 4:] = 100.0
    first(latents, mask)
    second(changed, mask)
    torch.testing.assert_close(first.codebooks, second.codebooks, rtol=0, atol=0)


def test_the_first_training_batch_sets_the_codebooks_by_kmeans():
    centres = 10 * noise(8, 6)
    latents = centres.repeat(20, 1)[None] + 0.01 * noise(1, 160, 6, seed=1)
    quantizer = make(num_levels=1).train()
    quantizer(latents)
    assert (torch.cdist(centres, quantizer.codebooks[0]).min(dim=1).values < 0.1).all()


def test_kmeans_of_fewer_points_than_clusters_still_gives_all_clusters():
    centres, counts = kmeans(noise(3, 2), 8, 5, torch.Generator().manual_seed(0))
    assert centres.shape == (8, 2) and torch.isfinite(centres).all() and counts.sum() == 3


def test_a_dead_code_becomes_a_frame_of_the_batch():
    quantizer = make(num_levels=1, dead_code_usage=2.0).train()
    quantizer(noise(4, 50, 6))
    quantizer.codebooks[0, 3] = 1000.0
    quantizer.sums[0, 3] = 0.0
    quantizer.counts[0, 3] = 0.0
    latents = noise(4, 50, 6, seed=1)
    quantizer(latents)
    assert torch.cdist(latents.reshape(-1, 6), quantizer.codebooks[0, 3:4]).min() < 1e-4
    assert quantizer.counts[0, 3] == 2.0


def test_the_limit_of_usage_shrinks_with_small_batches():
    quantizer = make(num_levels=1, dead_code_usage=2.0).train()
    quantizer(noise(1, 16, 6))  # two frames a code: a limit of 2 would call half of the codebook dead
    quantizer.counts.fill_(1.0)
    before = quantizer.codebooks.clone()
    quantizer.sums.copy_(before)
    quantizer(noise(1, 16, 6, seed=1))
    assert (quantizer.counts > 0.5).all()


def test_evaluation_changes_nothing():
    quantizer = make().train()
    quantizer(noise(2, 20, 6))
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer.eval()(noise(2, 20, 6, seed=1))
    for name, value in quantizer.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_saved_and_loaded_it_goes_on_exactly_as_before():
    first = make().train()
    first(noise(2, 20, 6))
    second = make(seed=0).train()
    second.load_state_dict(first.state_dict())
    for seed in (1, 2):
        one, two = first(noise(2, 20, 6, seed=seed)), second(noise(2, 20, 6, seed=seed))
        assert torch.equal(one.codes, two.codes)
    assert torch.equal(first.codebooks, second.codebooks)


def test_codes_are_the_same_under_autocast():
    quantizer = make().eval()
    latents = noise(4, 50, 6)
    plain = quantizer(latents).codes
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer(latents).codes, plain)


def test_batch_counts_are_the_uses_of_each_code():
    quantizer = make().train()
    codes = quantizer(noise(2, 20, 6)).codes
    for level in range(3):
        wanted = torch.bincount(codes[..., level].flatten(), minlength=8).float()
        assert torch.equal(quantizer.batch_counts[level], wanted)


def test_codes_of_another_codec_are_refused():
    with pytest.raises(ValueError, match=r"lie in \[0, 8\].*expected \(B, T, 3\) in \[0, 7\]"):
        make().decode(torch.tensor([[[0, 8, 1]]]))


def test_nearest_ties_and_shapes():
    codebook = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert nearest(torch.tensor([[[0.2, 5.0], [0.9, -3.0]]]), codebook).tolist() == [[0, 1]]


def _rank(rank: int, port: int, results) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    quantizer = make(dead_code_usage=2.0).train()
    for step in range(4):
        quantizer(noise(2, 20, 6, seed=10 * step + rank))
    results.put((rank, quantizer.codebooks.tolist(), quantizer.batch_counts.sum().item()))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.integration
def test_two_processes_keep_the_same_codebooks_from_different_frames():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    ranks = [context.Process(target=_rank, args=(rank, port, results)) for rank in range(2)]
    for process in ranks:
        process.start()
    (_, first, counted), (_, second, _) = sorted(results.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join(timeout=30)
    assert first == second
    assert counted == 3 * 2 * 40  # levels, ranks, frames
