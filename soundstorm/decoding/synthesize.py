"""From semantic tokens to a waveform: SoundStorm and the codec together, batched over different lengths."""

import logging
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.batching import batch_by_length
from soundstorm.data.datasets.aligned_tokens_dataset import repeats
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.pack import part_of
from soundstorm.decoding.config import ParallelConfig
from soundstorm.decoding.parallel import decode
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.tokens.acoustic import AcousticTokenizer

logger = logging.getLogger(__name__)


class Stopwatch:
    """Seconds of work and of audio, part by part; what ``timing.json`` holds."""

    def __init__(self):
        self.parts: dict[str, dict[str, float]] = defaultdict(lambda: {"seconds": 0.0, "audio_seconds": 0.0})
        self._same_audio = False

    @contextmanager
    def part(self, name: str, audio_seconds: float) -> Iterator[None]:
        """Time a block that makes ``audio_seconds`` of audio."""
        wait_for_device()
        start = time.perf_counter()
        yield
        wait_for_device()
        self.parts[name]["seconds"] += time.perf_counter() - start
        self.parts[name]["audio_seconds"] += 0.0 if self._same_audio else audio_seconds

    @contextmanager
    def same_audio(self, same: bool = True) -> Iterator[None]:
        """In here, time counts and audio does not: it was counted before (a further sample of one utterance)."""
        before, self._same_audio = self._same_audio, same
        try:
            yield
        finally:
            self._same_audio = before


def wait_for_device() -> None:
    """Return when a GPU has done all it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def utterance_seed(seed: int, utt: str, sample: int = 0) -> int:
    """A seed for one utterance, and one sample of it, that depends on the run's seed and its id only.

    torch's generator on a CPU looks at the lowest 32 bits, which therefore differ.
    """
    name = f"{utt}/{sample}" if sample else utt  # no id has a slash
    return (zlib.crc32(name.encode()) << 16) + seed


class Vocoder:
    """A trained SoundStorm and its codec: semantic tokens (and a voice prompt) in, speech out."""

    def __init__(
        self,
        model: SoundStorm,
        semantic: TokenizerInfo,
        acoustic: TokenizerInfo,
        codec: AcousticTokenizer,
        *,
        batch_seconds: float | None = None,
    ):
        """
        Args:
            model: trained network.
            semantic: tokenizer of the semantic tokens it was trained on.
            acoustic: tokenizer of its acoustic tokens.
            codec: the tokenizer itself, for the waveform.
            batch_seconds: padded audio decoded at a time; by default as much as keeps a GPU busy, or as little as
                stays in a CPU's caches, which is half as fast again as GPU-sized batches there.
        """
        acoustic.check_same(codec.info, "SoundStorm's training", "the codec given")
        self.model, self.codec = model.eval(), codec
        self.semantic_info, self.acoustic_info = semantic, acoustic
        self.repeat = repeats(semantic, acoustic)
        self.device = next(model.parameters()).device
        self.batch_seconds = batch_seconds or (30.0 if self.device.type == "cpu" else 240.0)
        self.passes = 0  # forward passes so far, counted for each utterance that was in them

    @classmethod
    def load(cls, expdir: str | Path, codec: AcousticTokenizer, device: str = "cpu", **options) -> "Vocoder":
        """The averaged weights of an experiment directory; it says everything about the architecture itself."""
        expdir = part_of(expdir, "soundstorm")
        semantic, acoustic = (config_section(expdir, name, TokenizerInfo) for name in ("semantic", "acoustic"))
        acoustic.check_same(codec.info, f"{expdir}/config.yaml", "the codec given")
        model = SoundStorm(
            config_section(expdir, "model", SoundStormConfig),
            num_levels=acoustic.num_levels,
            codebook_size=acoustic.codebook_size,
            semantic_size=semantic.codebook_size,
        )
        load_weights(expdir, model)
        return cls(model.to(device), semantic, acoustic, codec, **options)

    def acoustic_tokens(
        self,
        semantic: Sequence[np.ndarray],
        config: ParallelConfig,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray | None] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> list[np.ndarray]:
        """Acoustic tokens of several utterances.

        Args:
            semantic: tokens ``(T_s,)`` of each utterance, those of its prompt included.
            config: how to decode.
            seeds: one for each utterance.
            prompts: acoustic tokens ``(P, Q)`` of the beginning of each utterance, or None.
            stopwatch: is told the time taken.

        Returns:
            Codes ``(T, Q)`` of each utterance, int64, prompt included.
        """
        stopwatch = stopwatch or Stopwatch()
        prompts = [None] * len(semantic) if prompts is None else list(prompts)
        frames = [len(tokens) * self.repeat for tokens in semantic]
        results: list[np.ndarray | None] = [None] * len(semantic)
        for batch in batch_by_length(frames, self.batch_seconds * self.acoustic_info.frame_rate):
            longest = max(frames[i] for i in batch)
            tokens = torch.zeros(len(batch), longest, dtype=torch.long)
            for row, i in enumerate(batch):
                tokens[row, : frames[i]] = torch.from_numpy(np.repeat(semantic[i].astype(np.int64), self.repeat))
            extra = {}
            if any(prompts[i] is not None for i in batch):
                empty = np.zeros((0, self.acoustic_info.num_levels), dtype=np.int64)
                chosen = [empty if prompts[i] is None else prompts[i].astype(np.int64) for i in batch]
                padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(p) for p in chosen], batch_first=True)
                extra = {"prompt": padded, "prompt_lengths": torch.tensor([len(p) for p in chosen])}
            new = sum(frames[i] for i in batch) - int(extra["prompt_lengths"].sum() if extra else 0)
            with stopwatch.part("soundstorm", new / self.acoustic_info.frame_rate):
                codes = decode(
                    self.model,
                    tokens.to(self.device),
                    torch.tensor([frames[i] for i in batch]),
                    config,
                    seeds=[seeds[i] for i in batch],
                    watch=partial(self._count, len(batch)),
                    **extra,
                )
            for row, i in enumerate(batch):
                results[i] = codes[row, : frames[i]].cpu().numpy()
        return results

    def _count(self, utterances: int, *_) -> None:
        self.passes += utterances


def waveform(codec: AcousticTokenizer, codes: np.ndarray, stopwatch: Stopwatch | None = None) -> np.ndarray:
    """Samples ``(S,)`` of codes ``(T, Q)``."""
    stopwatch = stopwatch or Stopwatch()
    with stopwatch.part("codec", len(codes) / codec.info.frame_rate):
        wav = codec.decode(torch.from_numpy(codes.astype(np.int64))[None])[0]
    return wav.float().cpu().numpy()
