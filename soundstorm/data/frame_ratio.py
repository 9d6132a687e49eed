"""How semantic tokens and codec frames of the same speech lie against each other, whatever their two rates."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from soundstorm.data.archive import TokenizerInfo


@dataclass(frozen=True)
class FrameRatio:
    """So many semantic tokens last as long as so many codec frames, in lowest terms (the paper: 1 and 2).

    A codec frame is conditioned on the token that sounds in its middle, and on the later of two that meet
    there: nearest-index upsampling, as MaskGCT's (arXiv 2409.00750) of 50 tokens/s to 75 frames/s. With one
    token for every k frames that is k repeats of each. Where tokens are more than frames, some are not used.
    """

    tokens: int
    frames: int

    @classmethod
    def of(cls, semantic: TokenizerInfo, acoustic: TokenizerInfo) -> "FrameRatio":
        """The ratio of two tokenizers."""
        return cls.between(semantic.frame_rate, acoustic.frame_rate)

    @classmethod
    def between(cls, semantic: float, acoustic: float) -> "FrameRatio":
        """The ratio of two rates per second, which may be rounded to six digits."""
        ratio = Fraction(semantic / acoustic).limit_denominator(1000)
        return cls(*max(ratio, Fraction(1, 1000)).as_integer_ratio())

    def token_of(self, frame):
        """Which token a codec frame is conditioned on; an int or an array, as all that follows.

        It is also how many tokens have no more than ``frame`` codec frames, see :meth:`num_frames`.
        """
        return (2 * frame + 1) * self.tokens // (2 * self.frames)

    def num_frames(self, tokens):
        """Codec frames that so many tokens are the conditioning of."""
        return (2 * self.frames * tokens + self.tokens - 1) // (2 * self.tokens)

    def starts(self, begin: int, end: int) -> np.ndarray:
        """Frames of ``begin .. end - 1`` that have another token than the one before, and the first; ``(T_s,)``."""
        tokens = self.token_of(np.arange(begin, end))
        return begin + np.flatnonzero(np.diff(tokens, prepend=tokens[:1] - 1))

    def upsample(self, semantic: np.ndarray) -> np.ndarray:
        """Tokens ``(T_s,)`` to one for each codec frame ``(T,)``."""
        return semantic[self.token_of(np.arange(self.num_frames(len(semantic))))]
