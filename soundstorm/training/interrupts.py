"""Signals that end a training after its step, with a checkpoint, whichever of its processes they reach."""

import logging
import signal

logger = logging.getLogger(__name__)

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """SIGINT and SIGTERM become a note, which all processes read in the same step.

    Each process adds its :meth:`notes` to what is summed over all of them at every step anyway, and tells the
    sums to :meth:`agree`. One that acted on its own note would save alone, and wait for the others for ever.
    """

    def __init__(self):
        self.agreed: int | None = None  # the signal that all processes know of
        self._noted = [0.0] * len(NUMBERS)

    def __enter__(self) -> "Interrupts":
        self._handlers = {number: signal.signal(number, self._note) for number in NUMBERS}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        self._noted[NUMBERS.index(number)] = 1.0
        logger.warning("signal %d: saving a checkpoint after this step", number)

    def notes(self) -> list[float]:
        """One number for each of ``NUMBERS``, not zero where this process has got that signal."""
        return list(self._noted)

    def agree(self, notes: list[float]) -> None:
        """Take over the notes of all processes, summed."""
        for number, noted in zip(NUMBERS, notes, strict=True):
            if noted:
                self.agreed = number
