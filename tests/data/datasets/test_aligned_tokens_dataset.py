"""Where semantic and acoustic tokens meet."""

from dataclasses import replace

import numpy as np
import pytest

from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens, align
from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.sampler import BatchSampler, SeededIndex

SEMANTIC = TokenizerInfo("semantic", "s", "f" * 64, 25.0, 1, 50, 16000)
ACOUSTIC = TokenizerInfo("acoustic", "a", "e" * 64, 50.0, 3, 64, 16000)


@pytest.fixture
def tokens(tmp_path):
    frames = {"a": 60, "b": 100, "c": 31}
    write_tokens(tmp_path / "semantic", ((u, np.arange(n // 2 + 1) % 50) for u, n in frames.items()), SEMANTIC)
    codes = {u: np.stack([np.arange(n) // 2 % 50] * 3, 1) for u, n in frames.items()}
    write_tokens(tmp_path / "acoustic", codes.items(), ACOUSTIC)
    config = WindowConfig(min_seconds=0.2, max_seconds=1.5)
    return AlignedTokens(TokenArchive(tmp_path / "semantic.scp"), TokenArchive(tmp_path / "acoustic.scp"), config)


def test_25_hz_tokens_are_repeated_and_stay_in_phase_in_every_window(tokens):
    for index in range(3):
        for seed in range(30):
            item = tokens[SeededIndex(index, (seed,))]
            # codes were made to equal the repeated semantic tokens
            np.testing.assert_array_equal(item["semantic"], item["codes"][:, 0])
            assert 10 <= len(item["codes"]) <= 75


def test_a_window_depends_on_its_seed_only(tokens):
    first, again, other = (tokens[SeededIndex(1, seed)] for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(first["codes"], again["codes"])
    assert len(first["codes"]) != len(other["codes"]) or (first["codes"] != other["codes"]).any()


def test_a_batch_is_padded_and_says_its_lengths(tokens):
    masked = MaskedTokens(tokens, MaskingConfig())
    items = [masked[SeededIndex(i, (7, i))] for i in range(3)]
    batch = masked.collate(items)
    lengths = [len(item["codes"]) for item in items]
    assert batch["lengths"].tolist() == lengths
    assert batch["codes"].shape == (3, max(lengths), 3) and batch["dropped"].shape == (3, max(lengths))
    for row, item in enumerate(items):
        np.testing.assert_array_equal(batch["codes"][row, : lengths[row]], item["codes"])
        assert not batch["codes"][row, lengths[row] :].any()
        assert batch["prompt_end"][row] < lengths[row]


def long_tokens(tmp_path, count=400, **window):
    """Utterances of 1 to 12 s."""
    frames = {f"u{n:03d}": 50 + 550 * n // count for n in range(count)}
    write_tokens(tmp_path / "semantic", ((u, np.zeros((n + 1) // 2, int)) for u, n in frames.items()), SEMANTIC)
    write_tokens(tmp_path / "acoustic", ((u, np.zeros((n, 3), int)) for u, n in frames.items()), ACOUSTIC)
    return AlignedTokens.from_data_dir(tmp_path, WindowConfig(1.0, 10.0, **window))


def batches_of(tokens, seconds=60.0, **options):
    drawn = {"drawn_seconds": tokens.drawn_seconds} if options.pop("drawn", True) else {}
    sampler = BatchSampler(tokens.durations, batch_seconds=seconds, seed=2, **drawn, **options)
    for sampler.epoch in range(3):
        for draws in sampler:
            yield draws, tokens.collate([tokens[draw] for draw in draws])


def test_windows_of_like_length_make_a_batch_and_any_length_is_as_likely(tmp_path):
    tokens = long_tokens(tmp_path)
    padded, places = {}, []
    for drawn in (True, False):
        batches = [batch for _, batch in batches_of(tokens, drawn=drawn)]
        cells = [batch["codes"].shape[:2].numel() for batch in batches]
        padded[drawn] = 1 - sum(int(batch["lengths"].sum()) for batch in batches) / sum(cells)
        assert max(cells) <= 60 * 50
    assert padded[True] < 0.05 < 0.2 < padded[False]
    for draws, batch in batches_of(tokens):
        said = [tokens.drawn_seconds(np.full(400, draw.share))[draw.index] * 50 for draw in draws]
        assert batch["lengths"].tolist() == pytest.approx(said)
        longest = np.minimum(tokens.frames[[draw.index for draw in draws]], 500)
        places += [(n - 50) / (m - 50) for n, m in zip(batch["lengths"].tolist(), longest) if m > 100]
    assert np.histogram(places, 4, (0, 1))[0] / len(places) == pytest.approx(np.full(4, 0.25), abs=0.04)


def test_windows_of_whole_steps_need_no_padding(tmp_path):
    tokens = long_tokens(tmp_path, step_seconds=0.5)
    batches = [batch for _, batch in batches_of(tokens, 20.0)]
    assert all((batch["lengths"] % 25 == 0).all() for batch in batches)
    assert all(batch["padded"] == (batch["lengths"] != batch["codes"].shape[1]).any() for batch in batches)
    assert np.mean([batch["padded"] for batch in batches]) < 0.3  # where one length ends and the next begins
    ranks = [[draws for draws, _ in batches_of(tokens, 20.0, rank=rank, world_size=2)] for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]) and all(ranks[0] + ranks[1])  # none without work


def test_streams_are_trimmed_within_the_tolerance_and_refused_beyond_it():
    semantic, codes = np.arange(10), np.zeros((12, 3), int)
    trimmed, kept = align("u", semantic, codes, FrameRatio(1, 1))
    assert len(trimmed) == len(kept) == 10
    with pytest.raises(ValueError, match="u: 10 semantic and 13 acoustic frames differ by more than 2"):
        align("u", semantic, np.zeros((13, 3), int), FrameRatio(1, 1))


RATES = [(50, 75), (25, 75), (12.5, 50), (50, 12.5), (50, 50)]


@pytest.mark.parametrize(("semantic_rate", "acoustic_rate"), RATES)
def test_tokens_of_any_rate_stay_in_phase_in_every_window(tmp_path, semantic_rate, acoustic_rate):
    semantic, acoustic = (replace(SEMANTIC, frame_rate=semantic_rate), replace(ACOUSTIC, frame_rate=acoustic_rate))
    seconds = {"a": 2, "b": 4, "c": 6}
    said = {u: np.arange(int(n * semantic_rate)) for u, n in seconds.items()}
    heard = {  # codes that say which token sounds in the middle of their frame
        u: np.repeat((2 * np.arange(int(n * acoustic_rate)) + 1) * int(semantic_rate * 2) // int(acoustic_rate * 4), 3)
        for u, n in seconds.items()
    }
    write_tokens(tmp_path / "semantic", said.items(), replace(semantic, codebook_size=1000))
    heard = {u: codes.reshape(-1, 3) for u, codes in heard.items()}
    write_tokens(tmp_path / "acoustic", heard.items(), replace(acoustic, codebook_size=1000))
    tokens = AlignedTokens.from_data_dir(tmp_path, WindowConfig(0.5, 1.5))
    assert tokens.frames.tolist() == [int(n * acoustic_rate) for n in seconds.values()]
    for seed in range(40):
        item = tokens[SeededIndex(seed % 3, (seed,))]
        np.testing.assert_array_equal(item["semantic"], item["codes"][:, 0])


def test_a_table_of_other_numbers_of_frames_is_found_when_tokens_are_read(tokens, tmp_path):
    (tmp_path / "utt2num_frames").write_text("a 30\nb 49\nc 16\n")  # b has 51
    (tmp_path / "utt2num_acoustic_frames").write_text("a 60\nb 99\nc 31\n")
    again = AlignedTokens.from_data_dir(tmp_path, tokens.config)
    with pytest.raises(ValueError, match="b has 100 frames of tokens, 98 according to .*_acoustic_frames; rem"):
        again[SeededIndex(1, (0,))]


def test_tables_of_frames_change_no_window_and_nothing_is_read_before_it_is_asked_for(tokens, tmp_path):
    (tmp_path / "utt2num_frames").write_text("a 31\nb 51\nc 16\n")
    (tmp_path / "utt2num_acoustic_frames").write_text("a 60\nb 100\nc 31\n")
    again = AlignedTokens.from_data_dir(tmp_path, tokens.config)
    np.testing.assert_array_equal(again.durations, tokens.durations)
    for index in range(3):
        one, two = tokens[SeededIndex(index, (3,))], again[SeededIndex(index, (3,))]
        np.testing.assert_array_equal(one["codes"], two["codes"])
    content = (tmp_path / "acoustic.ark").read_bytes()
    last = int((tmp_path / "acoustic.scp").read_text().split(":")[-1]) - 4  # the one that tells whether all is there
    (tmp_path / "acoustic.ark").write_bytes(content[:2] + b"\0" * (last - 2) + content[last:])
    AlignedTokens.from_data_dir(tmp_path, tokens.config)  # the index alone
    with pytest.raises(ValueError, match="no token record there"):
        AlignedTokens.from_data_dir(tmp_path, tokens.config)[SeededIndex(0, (0,))]


def test_utterances_of_one_stream_only_are_left_out_with_a_warning(tmp_path, caplog):
    for kind, info, names in (("semantic", SEMANTIC, "bcd"), ("acoustic", ACOUSTIC, "abc")):
        shape = (10,) if kind == "semantic" else (20, 3)
        write_tokens(tmp_path / kind, ((name, np.full(shape, ord(name) % 50)) for name in names), info)
    both = AlignedTokens.from_data_dir(tmp_path, WindowConfig(0.2, 2.0))
    assert [both.name(index) for index in range(len(both))] == ["b", "c"]
    assert [int(both.streams(index)[1][0, 0]) for index in range(2)] == [ord("b") % 50, ord("c") % 50]
    assert "1 of 3 utterances lack semantic or acoustic tokens" in caplog.text
