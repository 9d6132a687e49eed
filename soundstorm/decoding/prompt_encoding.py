"""Voice prompts encoded alone, as a user's would be.

The first tokens of a whole recording know a little of what comes after them: HuBERT hears all of it, and the
codec's frames overlap. Cut from there, a prompt tells of the very speech that is to be made.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import Utterances, resample_down
from soundstorm.data.errors import InputError
from soundstorm.decoding.decoding_config import IN_CONTEXT
from soundstorm.tokens.acoustic import AcousticTokenizer
from soundstorm.tokens.semantic import SemanticTokenizer


def encode_alone(
    data_dir: str | Path,
    ids: Iterable[str],
    num_frames: int,
    codec: AcousticTokenizer,
    kmeans: str,
    semantic: TokenizerInfo,
    device: str = "cpu",
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tokens of the first frames of utterances, made of these frames' samples only.

    Args:
        data_dir: with the recordings.
        ids: utterances, none shorter than the prompt.
        num_frames: P, of the codec; a multiple of its frames for each semantic token.
        codec: the acoustic tokenizer.
        kmeans: directory of the semantic tokenizer.
        semantic: what the other semantic tokens are of.
        device: where the semantic tokenizer works.

    Returns:
        Semantic tokens ``(P_s,)`` and acoustic tokens ``(P, Q)`` of each utterance.

    Raises:
        ValueError: the semantic tokenizer is another one, or a recording cannot be read.
    """
    tokenizer = SemanticTokenizer.load(kmeans, device=device)
    semantic.check_same(tokenizer.info, f"{data_dir}/semantic.scp", kmeans)
    rate = codec.info.sample_rate
    utterances, prompts = Utterances(data_dir, rate), {}
    for utt in ids:
        wav = utterances.read(utt)[: num_frames * codec.hop]
        codes = codec.encode(torch.from_numpy(wav)[None])[0, :num_frames].cpu().numpy()
        (tokens,) = tokenizer.encode([resample_down(wav, rate, tokenizer.info.sample_rate)])
        wanted = round(num_frames * semantic.frame_rate / codec.info.frame_rate)
        if len(codes) != num_frames or len(tokens) < wanted:
            raise InputError(
                f"{utt}: a prompt of {len(wav)} samples has {len(codes)} acoustic and {len(tokens)} semantic "
                f"tokens, expected {num_frames} and {wanted}; give --prompt-encoding {IN_CONTEXT}"
            )
        prompts[utt] = (tokens[:wanted], codes)
    return prompts
