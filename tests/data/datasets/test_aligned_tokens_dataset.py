"""Where semantic and acoustic tokens meet."""

from dataclasses import replace

import numpy as np
import pytest

from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens, align, repeats
from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens
from soundstorm.data.sampler import SeededIndex

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


def test_streams_are_trimmed_within_the_tolerance_and_refused_beyond_it():
    semantic, codes = np.arange(10), np.zeros((12, 3), int)
    trimmed, kept = align("u", semantic, codes, 1)
    assert len(trimmed) == len(kept) == 10
    with pytest.raises(ValueError, match="u: 10 semantic and 13 acoustic frames differ by more than 2"):
        align("u", semantic, np.zeros((13, 3), int), 1)


def test_frame_rates_that_do_not_stand_one_to_k_are_refused():
    assert repeats(SEMANTIC, ACOUSTIC) == 2
    with pytest.raises(ValueError, match="75 frames/s .* cannot be aligned by repetition"):
        repeats(replace(SEMANTIC, frame_rate=50.0), replace(ACOUSTIC, frame_rate=75.0))


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
