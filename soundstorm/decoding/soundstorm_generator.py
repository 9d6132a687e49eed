"""SoundStorm at work: acoustic tokens by parallel decoding, batched over different lengths."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.batching import batch_by_length
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.pack import part_of
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.parallel import decode
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.models.devices import seconds_at_a_time
from soundstorm.models.soundstorm import SoundStorm
from soundstorm.models.soundstorm_config import SoundStormConfig
from soundstorm.tokens.acoustic import AcousticTokenizer


def load_soundstorm(expdir: str | Path) -> tuple[SoundStorm, TokenizerInfo, TokenizerInfo]:
    """The averaged weights of an experiment directory or pack, whose configuration gives the architecture.

    Returns:
        The network, and the tokenizers of its semantic and of its acoustic tokens.
    """
    expdir = part_of(expdir, "soundstorm")
    semantic, acoustic = (config_section(expdir, name, TokenizerInfo) for name in ("semantic", "acoustic"))
    model = SoundStorm(
        config_section(expdir, "model", SoundStormConfig),
        num_levels=acoustic.num_levels,
        codebook_size=acoustic.codebook_size,
        semantic_size=semantic.codebook_size,
        groups=acoustic.groups,
    )
    load_weights(expdir, model)
    return model, semantic, acoustic


class SoundStormGenerator:
    """A trained SoundStorm as an :class:`~soundstorm.decoding.acoustic_generator.AcousticGenerator`.

    Other networks that fill in the codes of padded batches say what differs.
    """

    kind = "soundstorm"
    read = staticmethod(load_soundstorm)
    decode = staticmethod(decode)

    def __init__(self, model: SoundStorm, semantic: TokenizerInfo, acoustic: TokenizerInfo):
        """
        Args:
            model: trained network.
            semantic: tokenizer of the semantic tokens it was trained on.
            acoustic: tokenizer of its acoustic tokens.
        """
        self.model = model.eval()
        self.semantic_info, self.acoustic_info = semantic, acoustic
        self.ratio = FrameRatio.of(semantic, acoustic)
        self.device = next(model.parameters()).device
        self.batch_seconds = seconds_at_a_time(self.device)

    @classmethod
    def load(cls, expdir: str | Path, codec: AcousticTokenizer, device: str = "cpu") -> "SoundStormGenerator":
        """An experiment directory or pack; ``codec`` is what the waveform will be made with."""
        model, semantic, acoustic = cls.read(expdir)
        acoustic.check_same(codec.info, f"{expdir}/config.yaml", "the codec given")
        return cls(model.to(device), semantic, acoustic)

    def tell(self, stopwatch: Stopwatch, config: ParallelConfig, level: int, iteration: int, *_) -> None:
        """Say how far decoding is, before each pass, from what it shows of it."""
        planned = config.iterations_of(self.acoustic_info.num_stages)
        stopwatch.tell(level=level + 1, iteration=iteration, iterations=planned)

    def acoustic_tokens(
        self,
        semantic: Sequence[np.ndarray],
        config: ParallelConfig,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray | None] | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> list[np.ndarray]:
        """Acoustic tokens ``(T, Q)`` of several utterances; the stopwatch counts forward passes too."""
        stopwatch = stopwatch or Stopwatch()
        prompts = [None] * len(semantic) if prompts is None else list(prompts)
        frames = [self.ratio.num_frames(len(tokens)) for tokens in semantic]
        results: list[np.ndarray | None] = [None] * len(semantic)
        for batch in batch_by_length(frames, self.batch_seconds * self.acoustic_info.frame_rate):
            longest = max(frames[i] for i in batch)
            tokens = torch.zeros(len(batch), longest, dtype=torch.long)
            for row, i in enumerate(batch):
                upsampled = self.ratio.upsample(semantic[i].astype(np.int64))
                tokens[row, : frames[i]] = torch.from_numpy(upsampled)
            extra = {}
            if any(prompts[i] is not None for i in batch):
                empty = np.zeros((0, self.acoustic_info.num_levels), dtype=np.int64)
                chosen = [empty if prompts[i] is None else prompts[i].astype(np.int64) for i in batch]
                chosen = [torch.from_numpy(prompt) for prompt in chosen]
                padded = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)
                extra = {"prompt": padded, "prompt_lengths": torch.tensor([len(p) for p in chosen])}
            new = sum(frames[i] for i in batch) - int(extra["prompt_lengths"].sum() if extra else 0)

            def count(*shown, utterances: int = len(batch)) -> None:
                stopwatch.counts["passes"] += utterances
                self.tell(stopwatch, config, *shown)

            with stopwatch.part(self.kind, new / self.acoustic_info.frame_rate):
                codes = self.decode(
                    self.model,
                    tokens.to(self.device),
                    torch.tensor([frames[i] for i in batch]),
                    config,
                    seeds=[seeds[i] for i in batch],
                    watch=count,
                    **extra,
                )
            for row, i in enumerate(batch):
                results[i] = codes[row, : frames[i]].cpu().numpy()
        return results
