"""Semantic tokens without their durations."""

import numpy as np


def deduplicate(tokens: np.ndarray) -> np.ndarray:
    """Tokens ``(T,)`` with each run of the same one cut down to one."""
    return tokens[np.insert(tokens[1:] != tokens[:-1], 0, True)] if len(tokens) else tokens
