"""How long the parts of decoding take, for ``timing.json``."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Seconds of work and of audio for each part (the content of ``timing.json``), and counters."""

    def __init__(self, tell: Callable[..., None] | None = None):
        """``tell`` hears of progress, see ``SpeechGenerator``; what it raises ends the work."""
        self.tell = tell or (lambda **_: None)
        self.parts: dict[str, dict[str, float]] = defaultdict(lambda: {"seconds": 0.0, "audio_seconds": 0.0})
        self.counts: Counter[str] = Counter()  # e.g. forward passes, of every utterance that was in them
        self._same_audio = False

    @contextmanager
    def part(self, name: str, audio_seconds: float) -> Iterator[None]:
        """Time a block that makes ``audio_seconds`` of audio."""
        self.tell(part=name)
        wait_for_device()
        start = time.perf_counter()
        yield
        wait_for_device()
        self.parts[name]["seconds"] += time.perf_counter() - start
        self.parts[name]["audio_seconds"] += 0.0 if self._same_audio else audio_seconds

    @contextmanager
    def same_audio(self, same: bool) -> Iterator[None]:
        """Count time in this block, but no audio: a further sample of audio that was counted before."""
        before, self._same_audio = self._same_audio, same
        try:
            yield
        finally:
            self._same_audio = before


def wait_for_device() -> None:
    """Return when a GPU has done all it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
