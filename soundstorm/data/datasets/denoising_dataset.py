"""Semantic tokens with gaps and without: the examples that text to semantic tokens is pre-trained on."""

from pathlib import Path

import numpy as np

from soundstorm.data.archive import TokenArchive
from soundstorm.data.datasets.dataset_parts import within_seconds
from soundstorm.data.datasets.text_semantic_dataset import collate_examples, corrupt
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.sampler import SeededIndex
from soundstorm.data.text import EOS_ID, UNK_ID

FIRST_ID = UNK_ID + 1  # semantic tokens come after the special ids, as bytes do in texts


def token_text_size(num_tokens: int) -> int:
    """Ids of an encoder that reads ``num_tokens`` semantic tokens in place of text."""
    return num_tokens + FIRST_ID


def tokens_as_text(tokens: np.ndarray) -> np.ndarray:
    """Semantic tokens ``(T,)`` as ids that end like a text's: int64 ``(T + 1,)``."""
    return np.append(tokens.astype(np.int64) + FIRST_ID, EOS_ID)


class DenoisingDataset:
    """One example per utterance that has semantic tokens; no text is needed."""

    collate = staticmethod(collate_examples)  # what is left of the tokens stands where a text would

    def __init__(
        self,
        data_dir: str | Path,
        *,
        deletion: float = 0.6,
        deduplicate: bool = True,
        min_seconds: float = 0.0,
        max_seconds: float = float("inf"),
        token_dropout: float = 0.0,
        token_noise: float = 0.0,
        noise_span: float = 1.0,
    ):
        """
        Args:
            data_dir: with ``semantic.scp``.
            deletion: probability of each token of the input to be deleted.
            deduplicate: remove repeats from the input first.
            min_seconds, max_seconds: lengths of utterances to use.
            token_dropout, token_noise, noise_span: as :class:`TextSemanticDataset`.
        """
        self.archive = TokenArchive(Path(data_dir) / "semantic.scp")
        self.info = self.archive.info
        self.archive.require_semantic()
        self.deletion, self.deduplicate = deletion, deduplicate
        self.noise = {"dropout": token_dropout, "noise": token_noise, "span": noise_span}
        seconds = self.archive.frames() / self.info.frame_rate
        self.rows = within_seconds(seconds, min_seconds, max_seconds, self.archive.scp)  # of the archive
        self.durations = seconds[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        """The utterance."""
        return self.archive.keys[int(self.rows[index])]

    def __getitem__(self, item: SeededIndex) -> dict[str, np.ndarray]:
        """``text (L,)``: what is left, as ids; ``tokens (T,)``: all; ``inputs``: as the decoder sees them."""
        rng = np.random.default_rng(item.seed)
        tokens = self.archive.at(int(self.rows[item.index])).astype(np.int64)
        source = deduplicate(tokens) if self.deduplicate else tokens
        kept = rng.random(len(source)) >= self.deletion
        kept[rng.integers(len(source))] |= not kept.any()  # something is always left
        return {
            "text": tokens_as_text(source[kept]),
            "tokens": tokens,
            "inputs": corrupt(tokens, rng, **self.noise),
        }
