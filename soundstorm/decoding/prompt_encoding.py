"""Voice prompts encoded alone, as a user's would be.

The first tokens of a whole recording know a little of what comes after them: HuBERT hears all of it, and the
codec's frames overlap. Cut from there, a prompt tells of the very speech that is to be made.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.audio import Utterances, resample
from soundstorm.data.prompt_encodings import IN_CONTEXT
from soundstorm.tokens.acoustic import AcousticTokenizer
from soundstorm.tokens.semantic import SemanticTokenizer

logger = logging.getLogger(__name__)


def encode_alone(
    data_dir: str | Path,
    ids: Iterable[str],
    size: tuple[int, int],
    codec: AcousticTokenizer,
    kmeans: str,
    semantic: TokenizerInfo,
    device: str = "cpu",
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tokens of the beginnings of utterances, made of these beginnings' samples only.

    Args:
        data_dir: with the recordings.
        ids: utterances, none shorter than the prompt.
        size: P_s semantic tokens, and P frames of the codec that they last as long as.
        codec: the acoustic tokenizer.
        kmeans: directory of the semantic tokenizer.
        semantic: what the other semantic tokens are of.
        device: where the semantic tokenizer works.

    Returns:
        Semantic tokens ``(P_s,)`` and acoustic tokens ``(P, Q)`` of each utterance; those whose prompt cannot be
        encoded are left out with a warning.

    Raises:
        ValueError: the semantic tokenizer is another one.
    """
    tokenizer = SemanticTokenizer.load(kmeans, device=device)
    semantic.check_same(tokenizer.info, f"{data_dir}/semantic.scp", kmeans)
    rate, (num_tokens, num_frames) = codec.info.sample_rate, size
    # The two end less than a frame apart where neither rate is a multiple of the other.
    heard = math.ceil(num_tokens * rate / semantic.frame_rate)
    utterances, prompts = Utterances(data_dir, rate), {}
    for utt in ids:
        try:
            wav = utterances.read(utt)
            (tokens,) = tokenizer.encode([resample(wav[:heard], rate, tokenizer.info.sample_rate)])
        except (ValueError, FileNotFoundError) as error:
            logger.warning("%s is left out: %s", utt, error)
            continue
        part = torch.from_numpy(wav[: num_frames * codec.hop])
        tokens, codes = tokens[:num_tokens], codec.encode(part[None])[0, :num_frames].cpu().numpy()
        if (len(tokens), len(codes)) == size:
            prompts[utt] = (tokens, codes)
        else:
            logger.warning(
                "%s is left out: its prompt has %d semantic and %d acoustic tokens, expected %d and %d; "
                "give --prompt-encoding %s", utt, len(tokens), len(codes), *size, IN_CONTEXT,
            )  # fmt: skip
    return prompts
