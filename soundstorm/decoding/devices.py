"""Where networks work."""

import torch


def choose_device(name: str) -> str:
    """``auto`` is the GPU where there is one.

    Raises:
        ValueError: a device that this machine does not have.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"--device is {name}, but torch sees no GPU here; use cpu or auto")
    return name
