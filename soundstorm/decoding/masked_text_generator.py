"""Text to semantic tokens in parallel: durations of letters, then SoundStorm's decoding with one level."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.batching import batch_by_length
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import load_weights
from soundstorm.data.pack import part_of
from soundstorm.data.text import TextTokenizer
from soundstorm.decoding.decoding_config import MaskedTextSamplingConfig
from soundstorm.decoding.letter_durations import (
    allot,
    drawn_durations,
    left_durations,
    pace_of,
    predicted_durations,
)
from soundstorm.decoding.parallel import decode
from soundstorm.decoding.semantic_generator import check_request
from soundstorm.decoding.text_experiment import read_text_experiment
from soundstorm.models.alignment import monotonic_path
from soundstorm.models.devices import fast_products, seconds_at_a_time
from soundstorm.models.masked_text_to_semantic import (
    MaskedTextToSemantic,
    build_masked_text_to_semantic,
)
from soundstorm.models.text_to_semantic_config import MaskedTextToSemanticConfig

logger = logging.getLogger(__name__)


class MaskedTextGenerator:
    """A trained model as a :class:`~soundstorm.decoding.semantic_generator.SemanticGenerator`."""

    def __init__(
        self,
        model: MaskedTextToSemantic,
        tokenizer: TextTokenizer,
        info: TokenizerInfo,
        characters: frozenset[str] = frozenset(),
    ):
        """
        Args:
            model: trained.
            tokenizer: of the text.
            info: tokenizer of the semantic tokens.
            characters: of the texts it was trained on; none: nobody knows.
        """
        self.model, self.tokenizer, self.info, self.characters = model.eval(), tokenizer, info, characters
        self.device = next(model.parameters()).device
        self.batch_seconds = seconds_at_a_time(self.device)

    @classmethod
    def load(cls, expdir: str | Path, device: str | torch.device = "cpu") -> "MaskedTextGenerator":
        """The trained model of an experiment directory or pack, with its text tokenizer."""
        expdir = Path(part_of(expdir, "text_to_semantic"))
        read = read_text_experiment(expdir, MaskedTextToSemanticConfig)
        model = build_masked_text_to_semantic(read.model, **read.sizes)
        load_weights(expdir, model)
        return cls(model.to(device), read.tokenizer, read.info, read.characters)

    @fast_products()
    @torch.inference_mode()
    def semantic_tokens(
        self,
        texts: Sequence[str],
        config: MaskedTextSamplingConfig,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray] | None = None,
        new_texts: Sequence[str] | None = None,
        frames: Sequence[int] | None = None,
        recorded: Sequence[int] | None = None,
    ) -> list[np.ndarray]:
        """Tokens ``(T,)`` of several texts; a prompt sets the pace of what follows it, at the speed of ``config``."""
        check_request(self.info, texts, seeds, prompts, config.max_seconds)
        if not texts:
            return []
        if frames is not None and (len(frames) != len(texts) or min(frames) < 1):
            raise InputError(f"frames are {list(frames)} for {len(texts)} texts; give at least 1 for each")
        ids = [
            self.tokenizer.encode(text, where=f"text {number}") for number, text in enumerate(texts, start=1)
        ]
        lengths = torch.tensor([len(row) for row in ids], device=self.device)
        text = pad_sequence([torch.from_numpy(row) for row in ids], batch_first=True).to(self.device)
        states, exists = self.model.read(text, lengths)
        logits = self.model.duration(states, exists).float().cpu()
        given = [torch.from_numpy(np.asarray(prompt, np.int64)) for prompt in prompts or [np.zeros(0)] * len(texts)]
        known = None
        if new_texts is not None:
            known = [len(row) - len(self.tokenizer.encode(new)) for row, new in zip(ids, new_texts, strict=True)]
        heard = self._paths(text, lengths, given, known)
        paths, streams = [], [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        most, cut = int(config.max_seconds * self.info.frame_rate), []
        for row, stream in enumerate(streams):
            counts = self._durations(
                logits[row, : len(ids[row])], heard[row], stream, config,
                total=None if frames is None else frames[row], ended=known is not None,
                recorded=len(heard[row]) if recorded is None else recorded[row],
            )  # fmt: skip
            path = torch.repeat_interleave(torch.arange(len(counts)), torch.from_numpy(counts))
            if frames is None and len(path) > most:
                path = path[:most]
                cut.append(row)
            paths.append(torch.cat([heard[row], path]))
        if cut:
            logger.warning(
                "%d of %d texts are longer than %g s and were cut, the first is %.60r",
                len(cut), len(texts), config.max_seconds, texts[cut[0]],
            )  # fmt: skip
        return self._decode(states, paths, given, streams, config)

    def _paths(
        self, text: Tensor, lengths: Tensor, prompts: list[Tensor], known: list[int] | None
    ) -> list[Tensor]:
        """Letter of each frame ``(P,)`` of the prompts.

        Args:
            text: ids ``(B, L)``; lengths: ``(B,)``.
            prompts: tokens ``(P,)``.
            known: letters of each prompt, where known; else its tokens may end anywhere in the text.
        """
        paths = [torch.zeros(0, dtype=torch.int64) for _ in prompts]
        rows = [row for row, prompt in enumerate(prompts) if len(prompt)]
        if not rows:
            return paths
        places = torch.tensor(rows, device=self.device)
        tokens = pad_sequence([prompts[row] for row in rows], batch_first=True).to(self.device)
        exists = torch.arange(text.shape[1], device=self.device) < lengths[places, None]
        scores = self.model.aligner(text[places], exists, tokens)
        frames = torch.tensor([len(prompts[row]) for row in rows])
        letters = lengths[places] if known is None else torch.tensor([max(1, known[row]) for row in rows])
        found = monotonic_path(scores, frames, letters, open_end=known is None)
        for row, path, count in zip(rows, found, frames, strict=True):
            paths[row] = path[:count]
        return paths

    def _durations(
        self,
        logits: Tensor,
        heard: Tensor,
        stream: torch.Generator,
        config: MaskedTextSamplingConfig,
        *,
        total: int | None,
        ended: bool,
        recorded: int,
    ) -> np.ndarray:
        """New frames of each letter ``(L,)`` of one text.

        Args:
            logits: of the durations ``(L, K)``.
            heard: letter of each frame of the prompt ``(P,)``.
            stream: of random numbers.
            config: temperature and speed.
            total: frames to fill, or None.
            ended: the prompt's last letter is over.
            recorded: frames of the prompt that are in its speaker's pace; those after them are at the speed of config.
        """
        counts = torch.bincount(heard, minlength=len(logits)).numpy()
        uniform = torch.rand(len(logits), generator=stream)
        wanted = drawn_durations(logits, uniform, temperature=config.duration_temperature)
        # As long as each letter would have been at speed 1: else the speed would count once more in every segment.
        own = np.bincount(heard, np.where(np.arange(len(heard)) < recorded, 1.0, config.speed), len(logits))
        wanted = wanted * pace_of(own, predicted_durations(logits)) / config.speed
        left = left_durations(wanted, counts, ended=ended)
        return allot(left, max(1, round(float(left.sum()))) if total is None else total)

    def _decode(
        self,
        states: Tensor,
        paths: list[Tensor],
        prompts: list[Tensor],
        streams: list[torch.Generator],
        config: MaskedTextSamplingConfig,
    ) -> list[np.ndarray]:
        """Tokens after the prompts; states of letters ``(B, L, D)``, letter of each frame ``(T,)``."""
        seeds = [int(torch.randint(2**62, (), generator=stream)) for stream in streams]
        results: list[np.ndarray | None] = [None] * len(paths)
        for batch in batch_by_length([len(path) for path in paths], self.batch_seconds * self.info.frame_rate):
            lengths = torch.tensor([len(paths[row]) for row in batch])
            longest = int(lengths.max())
            path = torch.stack([_padded(paths[row], longest) for row in batch]).to(self.device)
            rows = torch.tensor(batch, device=self.device)
            frames = self.model.condition(states[rows], path, lengths.to(self.device))
            prompt = pad_sequence([prompts[row] for row in batch], batch_first=True)[..., None]
            codes = decode(
                self.model.network, frames, lengths, config.parallel,
                prompt=prompt, prompt_lengths=torch.tensor([len(prompts[row]) for row in batch]),
                seeds=[seeds[row] for row in batch],
            )  # fmt: skip
            for place, row in enumerate(batch):
                results[row] = codes[place, len(prompts[row]) : len(paths[row]), 0].cpu().numpy()
        return results


def _padded(path: Tensor, frames: int) -> Tensor:
    """A path ``(T,)`` to so many frames, repeating its last letter."""
    return torch.cat([path, path[-1:].expand(frames - len(path))])
