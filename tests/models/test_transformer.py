"""Blocks of the encoder-decoder."""

import pytest
import torch

from soundstorm.models.transformer import (
    CrossAttention,
    DecoderBlock,
    KeyValues,
    SelfAttention,
    SelfBlock,
    TimeRotation,
    TokenTimes,
    known_angles,
    rotary_angles,
    rotate,
    sinusoids,
)


def make(cls, *arguments, seed=0):
    torch.manual_seed(seed)
    return cls(*arguments).eval()


def slow_attention(queries, keys, values, allowed):
    """Attention of one head with loops: ``(T, d)``, ``(L, d)``, ``(L, d)``, ``allowed(t, place)``."""
    rows = []
    for t, query in enumerate(queries):
        places = [place for place in range(len(keys)) if allowed(t, place)]
        weights = torch.tensor([float(query @ keys[place]) / len(query) ** 0.5 for place in places]).softmax(0)
        rows.append(sum(w * values[place] for w, place in zip(weights, places)))
    return torch.stack(rows)


def test_rotated_products_depend_on_the_distance_only():
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 16, generator=generator)

    def product(i, j):
        return float((rotate(query, torch.tensor([i])) * rotate(key, torch.tensor([j]))).sum())

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-4)
    assert product(7, 3) != pytest.approx(product(7, 5), abs=1e-3)


def test_rotating_keeps_lengths():
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(rotate(x, torch.arange(5)).norm(dim=-1), x.norm(dim=-1), atol=1e-5)


@pytest.mark.parametrize("start, end", [(0, 1), (3, 260), (255, 256), (700, 701)])
@pytest.mark.parametrize("head_dim", [6, 64])
def test_angles_that_are_kept_are_those_of_their_positions(start, end, head_dim):
    kept = known_angles(start, end, head_dim, torch.float32, torch.device("cpu"))
    fresh = rotary_angles(torch.arange(start, end), head_dim, torch.float32)
    assert all(map(torch.equal, kept, fresh)) and not kept[0].is_inference()


def test_rotation_in_time_equals_its_slow_twin():
    rotation = make(TimeRotation, 2, 6)
    for parameter in rotation.parameters():
        torch.nn.init.normal_(parameter)
    queries, keys = torch.randn(2, 3, 2, 4, 6, generator=torch.Generator().manual_seed(0))  # 3 rows, 2 heads, 4 columns
    frames = TokenTimes(*torch.randint(0, 50, (2, 3, 4)), condition=torch.rand(3, 4) > 0.5)
    with torch.no_grad():
        got = rotation(queries, keys, frames)
        for row in range(3):
            for head in range(2):
                for column in range(4):
                    query = queries[row, head, column] + rotation.query[head]
                    key = keys[row, head, column] + rotation.key[int(frames.condition[row, column]), head]
                    wanted = rotate(query[None], frames.due[row, column, None])[0]
                    torch.testing.assert_close(got[0][row, head, column], wanted)
                    wanted = rotate(key[None], frames.times[row, column, None])[0]
                    torch.testing.assert_close(got[1][row, head, column], wanted)


@pytest.mark.parametrize("head_dim", [8, 48, 128])
def test_half_of_the_heads_begin_at_the_conditioning_of_the_frame_that_is_due(head_dim):
    rotation, nothing = TimeRotation(4, head_dim), torch.zeros(1, 4, 400, head_dim)
    condition = torch.arange(400)[None] < 200
    frames = TokenTimes(times=torch.arange(400)[None] % 200, due=torch.full((1, 400), 70), condition=condition)
    with torch.no_grad():
        queries, keys = rotation(nothing, nothing, frames)
        attention = (queries @ keys.transpose(-1, -2) / head_dim**0.5).softmax(-1)[0, :, 0]
    for head in (0, 1):
        assert int(attention[head].argmax()) == 70
        assert attention[head, 200:].sum() < 0.05  # the target's own tokens
        assert head_dim < 48 or attention[head, 70] > 0.5
    torch.testing.assert_close(attention[2:], torch.full((2, 400), 1 / 400))


def test_every_position_vector_is_another():
    table = sinusoids(300, 31)
    assert table.shape == (300, 31)
    assert torch.cdist(table, table).fill_diagonal_(9).min() > 0.1


def test_self_attention_equals_its_slow_twin():
    attention = make(SelfAttention, 12, 2, 6)
    x = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = attention(x, causal=True)
        queries, keys, values = attention.project(x)[0].chunk(3, -1)
        heads = []
        for head in range(2):
            part = slice(6 * head, 6 * head + 6)
            turned = [rotate(y[None, None, :, part], torch.arange(5))[0, 0] for y in (queries, keys)]
            heads.append(slow_attention(*turned, values[:, part], lambda t, place: place <= t))
        wanted = attention.leave(torch.cat(heads, -1))
    assert torch.allclose(got[0], wanted, atol=1e-5)


def test_cross_attention_equals_its_slow_twin():
    attention = make(CrossAttention, 12, 2, 6)
    generator = torch.Generator().manual_seed(1)
    x, memory = torch.randn(1, 4, 12, generator=generator), torch.randn(1, 7, 12, generator=generator)
    mask = (torch.arange(7) < 5)[None, None, None]
    with torch.no_grad():
        got = attention(x, attention.read(memory), mask=mask)
        queries = attention.query(x)[0]
        keys, values = attention.project(memory)[0].chunk(2, -1)
        heads = [
            slow_attention(queries[:, p], keys[:, p], values[:, p], lambda t, place: place < 5)
            for p in (slice(0, 6), slice(6, 12))
        ]
        wanted = attention.leave(torch.cat(heads, -1))
    assert torch.allclose(got[0], wanted, atol=1e-5)


@pytest.mark.parametrize("cuts", [[1] * 9, [4, 1, 1, 3], [1, 8]])
def test_a_cache_gives_what_recomputing_gives(cuts):
    block = make(DecoderBlock, 12, 2, 6, 20, 0.1)
    generator = torch.Generator().manual_seed(1)
    x, memory = torch.randn(2, 9, 12, generator=generator), torch.randn(2, 4, 12, generator=generator)
    mask = torch.ones(2, 1, 1, 4, dtype=torch.bool)
    with torch.no_grad():
        text = block.cross_attention.read(memory)
        whole = block(x, text, mask=mask)
        cache = block.self_attention.empty_cache(2, x, capacity=2)
        parts = [block(part, text, mask=mask, cache=cache) for part in x.split(cuts, dim=1)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


def test_a_cache_forgets_rows():
    cache = KeyValues(torch.arange(3.0).view(3, 1, 1, 1), torch.arange(3.0).view(3, 1, 1, 1), 1)
    cache.keep(torch.tensor([0, 2]))
    assert cache.keys.flatten().tolist() == [0, 2] and cache.values.shape[0] == 2


def test_a_decoder_block_sees_no_later_frame():
    block = make(DecoderBlock, 12, 2, 6, 20, 0.0)
    generator = torch.Generator().manual_seed(1)
    x, memory = torch.randn(1, 6, 12, generator=generator), torch.randn(1, 4, 12, generator=generator)
    changed = x.clone()
    changed[:, 4:] += 1
    mask = torch.ones(1, 1, 1, 4, dtype=torch.bool)
    with torch.no_grad():
        before, after = (block(y, block.cross_attention.read(memory), mask=mask) for y in (x, changed))
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-2)


def test_an_encoder_block_ignores_padding():
    block = make(SelfBlock, 12, 2, 6, 20, 0.0)
    x = torch.randn(1, 6, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        short = block(x[:, :4], torch.ones(1, 1, 1, 4, dtype=torch.bool))
        padded = block(x, (torch.arange(6) < 4)[None, None, None])
    assert torch.allclose(short, padded[:, :4], atol=1e-6)
