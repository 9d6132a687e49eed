"""What tells one tokenizer from another."""

import hashlib
import json

import torch
from torch import nn


def fingerprint(network: nn.Module, config: dict) -> str:
    """sha256 over weights and settings, hexadecimal."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
