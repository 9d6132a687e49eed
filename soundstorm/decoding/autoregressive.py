"""Text to semantic tokens, frame by frame: greedy or sampled, with or without a prompt."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import config_section, load_weights
from soundstorm.data.pack import part_of
from soundstorm.data.text import TextTokenizer
from soundstorm.decoding.decoding_config import TextSamplingConfig
from soundstorm.decoding.pointer_path import PointerPath, prompt_places
from soundstorm.decoding.sampling import choose
from soundstorm.decoding.semantic_generator import check_request
from soundstorm.decoding.text_experiment import read_text_experiment
from soundstorm.models.devices import fast_products, ready_for_single_steps
from soundstorm.models.text_to_semantic import TextToSemantic, build_text_to_semantic
from soundstorm.models.text_to_semantic_config import TextToSemanticConfig

logger = logging.getLogger(__name__)
SHORTEST_LIMIT = 3.0  # seconds that the fewest new words may take: pauses around them count for more than their letters


@dataclass(frozen=True)
class SpeakingRate:
    """Frames per text id in the training data, which bounds the length of samples."""

    slowest: float
    fastest: float

    def __post_init__(self):
        if self.slowest <= 0 or self.fastest <= 0:
            raise InputError(f"slowest is {self.slowest} and fastest {self.fastest}, expected more than 0")

    def limits(self, num_ids: int) -> tuple[int, int]:
        """Fewest and most frames for a text: half and double those of the fastest and slowest example."""
        return max(1, int(num_ids * self.fastest / 2)), max(2, int(num_ids * self.slowest * 2))


@dataclass
class SampledTokens:
    """One sampled utterance: the ``tokens`` ``(T,)`` after the prompt, and whether the model ended it."""

    tokens: np.ndarray
    ended: bool


@fast_products()
@torch.inference_mode()
def sample_sequences(
    model: TextToSemantic,
    texts: Sequence[np.ndarray],
    *,
    uniforms: Sequence[Tensor],
    min_frames: Sequence[int],
    temperature: float,
    top_k: int,
    prompts: Sequence[np.ndarray] | None = None,
    prompt_ids: Sequence[int] | None = None,
) -> list[SampledTokens]:
    """Sample a batch of different lengths with a key-value cache.

    Every row has its own random numbers and limits, so it does not depend on the rest of the batch.

    Args:
        model: in evaluation mode.
        texts: ids of each text ``(L,)``, those of the prompt's words first.
        uniforms: numbers in [0, 1) for each row, ``(2, T)``: for tokens and for the pointer; T is the row's
            longest result, prompt included.
        min_frames: frames before which a row may not end, prompt included.
        temperature, top_k: as :func:`choose`.
        prompts: tokens to continue, for each row ``(T,)``, possibly empty.
        prompt_ids: how many ids of each text are the prompt's words, where that is known.
    """
    device = next(model.parameters()).device
    prompts = [np.zeros(0, np.int64)] * len(texts) if prompts is None else prompts
    limits = [row.shape[-1] for row in uniforms]
    width = max(limits)
    forced = torch.full((len(texts), width), -1, dtype=torch.int64)
    numbers = torch.zeros(2, len(texts), width)
    text = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.int64)
    for row in range(len(texts)):
        forced[row, : len(prompts[row])] = torch.as_tensor(np.asarray(prompts[row], np.int64))
        numbers[:, row, : limits[row]] = uniforms[row]
        text[row, : len(texts[row])] = torch.as_tensor(texts[row])
    lengths = torch.tensor([len(ids) for ids in texts])
    text = text.to(device)
    state = model.begin(text, lengths.to(device), padded=bool((lengths < text.shape[1]).any()))
    path = None
    if model.pointer is not None:
        places = prompt_places(model, text, lengths, forced, prompt_ids)
        path = PointerPath(model, lengths, numbers[1], temperature, places)
    # The shortest prompt's length is read in one pass; the rest of longer ones frame by frame with the
    # sampling.
    shared = min(len(prompt) for prompt in prompts)
    given = torch.cat([torch.full((len(texts), 1), model.start_id), forced[:, :shared]], dim=1)
    earliest, latest = torch.tensor(list(min_frames)), torch.tensor(limits)
    rows = torch.arange(len(texts))
    written = forced.clone()
    frames, ended = torch.tensor(limits), torch.zeros(len(texts), dtype=torch.bool)
    running = torch.ones(len(texts), dtype=torch.bool)  # of the rows still in the batch
    for frame in range(shared, width):
        may_end = frame >= earliest[rows]
        if path is None:
            hidden = model.advance(given.to(device), state)
            logits = model.emit(hidden[:, -1:], state)[:, 0].float().cpu()
            logits[:, model.end_id].masked_fill_(~may_end, float("-inf"))
            token = choose(logits, numbers[0, rows, frame], temperature=temperature, top_k=top_k)
        else:
            places, durations = path.inputs(rows, frame + 1 - given.shape[1], frame)
            hidden = model.advance(
                given.to(device), state, places=places.to(device), durations=durations.to(device)
            )
            place = path.advance(rows, frame, hidden[:, -1:])
            logits = model.emit(hidden[:, -1:], state, places=place[:, None].to(device))[:, 0].float().cpu()
            # With a pointer the end is an advance off the last letter, not a token that competes with others.
            ends = may_end & path.ends(rows, frame, logits.softmax(-1)[:, model.end_id])
            logits[:, model.end_id] = float("-inf")
            token = choose(logits, numbers[0, rows, frame], temperature=temperature, top_k=top_k)
            token = torch.where(ends, model.end_id, token)
        token = torch.where(forced[rows, frame] >= 0, forced[rows, frame], token)
        finished = running & (token == model.end_id)
        frames[rows[finished]], ended[rows[finished]] = frame, True
        running &= (token != model.end_id) & (frame + 1 < latest[rows])
        token = torch.where(token == model.end_id, 0, token)
        written[rows, frame] = token
        if not running.any():
            break
        if running.sum() * 2 <= len(rows):  # finished rows cost as much as running ones
            rows, token, kept = rows[running], token[running], running.nonzero()[:, 0]
            state.keep(kept.to(device))
            running = torch.ones(len(rows), dtype=torch.bool)
        given = token[:, None]
    return [
        SampledTokens(written[row, len(prompts[row]) : frames[row]].numpy().copy(), bool(ended[row]))
        for row in range(len(texts))
    ]


class TextToSemanticGenerator:
    """A trained text-to-semantic model: texts in, semantic tokens out."""

    def __init__(
        self,
        model: TextToSemantic,
        tokenizer: TextTokenizer,
        info: TokenizerInfo,
        pace: SpeakingRate,
        characters: frozenset[str] = frozenset(),
    ):
        """
        Args:
            model: trained.
            tokenizer: of the text.
            info: tokenizer of the semantic tokens.
            pace: of the training data.
            characters: of its texts; none: nobody knows.
        """
        self.model, self.tokenizer, self.info, self.pace = model.eval(), tokenizer, info, pace
        self.characters = characters

    def semantic_tokens(
        self,
        texts: Sequence[str],
        config: TextSamplingConfig,
        *,
        seeds: Sequence[int],
        prompts: Sequence[np.ndarray] | None = None,
        new_texts: Sequence[str] | None = None,
        frames: Sequence[int] | None = None,
        recorded: Sequence[int] | None = None,
    ) -> list[np.ndarray]:
        """Semantic tokens of several texts.

        Where the words after a prompt are known, least and greatest length are the prompt's and that of the new words,
        whatever pauses the prompt has; a few words may take :data:`SHORTEST_LIMIT`. A sample that does not end by
        itself is sampled again.
        """
        if frames is not None:
            raise InputError(
                "a given duration cannot be met by an autoregressive text-to-semantic model, which ends when it ends; "
                "train_masked_text_to_semantic trains one that can"
            )
        check_request(self.info, texts, seeds, prompts, config.max_seconds)
        if not texts:
            return []
        streams = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        ids = [
            self.tokenizer.encode(text, where=f"text {number}") for number, text in enumerate(texts, start=1)
        ]
        known = [None] * len(texts) if new_texts is None else new_texts
        new = [None if text is None else len(self.tokenizer.encode(text)) for text in known]
        prompts = [np.zeros(0, np.int64)] * len(texts) if prompts is None else list(prompts)
        results: list[SampledTokens | None] = [None] * len(texts)
        for _ in range(1 if config.temperature == 0 else config.attempts):
            left = [row for row, drawn in enumerate(results) if drawn is None or not drawn.ended]
            if not left:
                break
            bounds = [self._limits(len(ids[row]), new[row], len(prompts[row]), config.max_seconds) for row in left]
            uniforms = [
                torch.rand(2, most, generator=streams[row])
                for row, (_, most) in zip(left, bounds, strict=True)
            ]
            drawn = sample_sequences(
                self.model, [ids[row] for row in left], uniforms=uniforms,
                min_frames=[least for least, _ in bounds], temperature=config.temperature,
                top_k=config.top_k, prompts=[prompts[row] for row in left],
                prompt_ids=None if new_texts is None else [len(ids[row]) - new[row] for row in left],
            )  # fmt: skip
            for row, result in zip(left, drawn):
                results[row] = result
        cut = [row for row, result in enumerate(results) if not result.ended]
        if cut:
            logger.warning(
                "%d of %d texts did not end by themselves and were cut, the first after %.1f s: %.60r",
                len(cut), len(texts), len(results[cut[0]].tokens) / self.info.frame_rate, texts[cut[0]],
            )  # fmt: skip
        return [result.tokens for result in results]

    def _limits(self, ids: int, new: int | None, prompt_frames: int, max_seconds: float) -> tuple[int, int]:
        """Fewest and most frames of ``ids`` text ids, ``new`` after the prompt's; frames count the prompt."""
        least, most = self.pace.limits(ids)
        if prompt_frames and new:  # its pauses make it longer than its words tell: bound the new words on their own
            fewest, longest = self.pace.limits(new)
            least = prompt_frames + fewest
            most = prompt_frames + max(longest, int(SHORTEST_LIMIT * self.info.frame_rate))
        elif prompt_frames:
            most = max(most, prompt_frames + most // 2)  # not all of the words are new
        most = max(prompt_frames + 1, min(most, prompt_frames + int(max_seconds * self.info.frame_rate)))
        return min(max(least, prompt_frames + 1), most), most


def load_text_to_semantic(
    expdir: str | Path, *, device: str | torch.device = "cpu"
) -> TextToSemanticGenerator:
    """The trained model of an experiment directory or pack, with its text tokenizer."""
    expdir = Path(part_of(expdir, "text_to_semantic"))
    read = read_text_experiment(expdir, TextToSemanticConfig)
    pace = config_section(expdir, "pace", SpeakingRate)
    model = build_text_to_semantic(read.model, **read.sizes)
    load_weights(expdir, model)
    model = ready_for_single_steps(model, device)
    return TextToSemanticGenerator(model, read.tokenizer, read.info, pace, read.characters)
