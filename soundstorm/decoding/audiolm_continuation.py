"""Speech continuation by all three stages of AudioLM, from a prompt or unprompted, without text."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from soundstorm.data.archive import TokenArchive, write_tokens
from soundstorm.data.audio import write_audio
from soundstorm.data.audiolm_layout import untimed_condition
from soundstorm.data.audiolm_stages import COARSE, FINE, SEMANTIC
from soundstorm.data.data_dir import check_ids, read_table, write_table, write_text
from soundstorm.data.datasets.aligned_tokens_dataset import align
from soundstorm.data.deduplication import deduplicate
from soundstorm.data.errors import InputError
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.prompt_encodings import ALONE, PROMPT_ENCODING, check_encoding
from soundstorm.decoding.audiolm_generator import LanguageModel, add_fine_levels, check_pair, uniforms
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig
from soundstorm.decoding.audiolm_rows import RowTask
from soundstorm.decoding.prompt_encoding import encode_alone
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.waveform import utterance_seed, waveform
from soundstorm.tokens.acoustic import AcousticTokenizer, load_acoustic_tokenizer
from soundstorm.tokens.merge import check_lost, with_tokens

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpeechPrompt:
    """Beginning of an utterance to continue; both arrays are empty for unprompted generation."""

    semantic: np.ndarray  # (T_s,), repeats included
    codes: np.ndarray  # (P, Q)


class ContinuationGenerator:
    """The three trained stages; the semantic stage decides how long the speech is."""

    def __init__(self, semantic: LanguageModel, coarse: LanguageModel, fine: LanguageModel):
        """
        Args:
            semantic, coarse, fine: trained on the same tokens, the coarse one with ``data.deduplicate``.
        """
        check_pair(coarse, fine)
        semantic.semantic.check_same(coarse.semantic, "AudioLM's semantic stage", "its coarse stage")
        if not coarse.layout.ends:
            raise InputError(
                "AudioLM's coarse stage was trained with repeats of semantic tokens, which its semantic "
                "stage does not write; train it with data.deduplicate true"
            )
        if not semantic.layout.ends:
            raise InputError(
                "AudioLM's semantic stage was trained with repeats of semantic tokens, which its coarse stage does not "
                "know; train it with data.semantic_repeats false, or use synthesize --from continuation"
            )
        self.semantic, self.coarse, self.fine = semantic, coarse, fine

    @classmethod
    def load(
        cls, expdirs: Sequence[str | Path], codec: AcousticTokenizer, device: str = "cpu"
    ) -> "ContinuationGenerator":
        """Experiment directories of the three stages, in their order; ``codec`` will make the waveform."""
        names = (SEMANTIC, COARSE, FINE)
        stages = [LanguageModel.load(path, name, device) for path, name in zip(expdirs, names, strict=True)]
        try:
            generator = cls(*stages)
        except ValueError as error:
            raise InputError(f"{', '.join(map(str, expdirs))}: {error}") from error
        generator.coarse.acoustic.check_same(codec.info, "AudioLM's training", "the codec given")
        return generator

    def semantic_tokens(
        self,
        prompts: Sequence[np.ndarray],
        streams: Sequence[torch.Generator],
        *,
        temperature: float,
        max_seconds: float,
        stopwatch: Stopwatch,
    ) -> list[np.ndarray]:
        """Stage 1: semantic tokens without repeats, those of the prompts first.

        Args:
            prompts: semantic tokens to continue ``(T_s,)``, possibly empty.
            streams: random number generators, one for each prompt.
            temperature: of the sampling.
            max_seconds: where speech that has no end of its own is cut; every token counts as one frame.
            stopwatch: is told the time taken.
        """
        given, nothing = [deduplicate(prompt) for prompt in prompts], np.zeros(0, np.int64)
        most = max(1, round(max_seconds * self.semantic.semantic.frame_rate))
        tasks = [
            RowTask(self.semantic.layout.row(nothing, nothing, tokens[:, None]), most, uniforms(stream, most))
            for tokens, stream in zip(given, streams, strict=True)
        ]
        continued = self.semantic.sample(tasks, temperature, [max_seconds] * len(tasks), stopwatch)
        cut = sum(not result.ended for result in continued)
        if cut:
            logger.warning("%d of %d utterances did not end by themselves and were cut", cut, len(continued))
        return [
            np.concatenate([tokens, new.codes[:, 0]]) for tokens, new in zip(given, continued, strict=True)
        ]

    def generate(
        self,
        prompts: Sequence[SpeechPrompt],
        config: AudioLMSamplingConfig,
        *,
        seeds: Sequence[int],
        max_seconds: float,
        stopwatch: Stopwatch | None = None,
    ) -> list[np.ndarray]:
        """Codes ``(T, Q)`` of the continuation of each prompt, the prompt first.

        Args:
            prompts: beginnings to continue.
            config: temperatures.
            seeds: one for each prompt.
            max_seconds: longest result, prompt included; at most what the coarse stage was trained on.
            stopwatch: is told the time taken.
        """
        info, levels = self.coarse.acoustic, self.coarse.coarse_levels
        if not 0 < max_seconds <= self.coarse.crop_seconds:
            raise InputError(
                f"--max-seconds is {max_seconds}, expected more than 0 and at most the "
                f"{self.coarse.crop_seconds:g} s the coarse stage was trained on"
            )
        most = round(max_seconds * info.frame_rate)
        longest = max(len(prompt.codes) for prompt in prompts)
        if longest >= most:
            raise InputError(
                f"a prompt of {longest} frames leaves nothing to generate of {most}; see --max-seconds"
            )
        stopwatch = stopwatch or Stopwatch()
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        semantic = self.semantic_tokens(
            [prompt.semantic for prompt in prompts], streams, temperature=config.semantic_temperature,
            max_seconds=max_seconds, stopwatch=stopwatch,
        )  # fmt: skip
        tasks, seconds = [], []
        for tokens, prompt, stream in zip(semantic, prompts, streams, strict=True):
            row = self.coarse.layout.row(*untimed_condition(tokens), prompt.codes[:, :levels])
            new = most - len(prompt.codes)
            tasks.append(RowTask(row, new, uniforms(stream, new * levels)))
            seconds.append(new / info.frame_rate)
        continued = self.coarse.sample(tasks, config.coarse_temperature, seconds, stopwatch)
        coarse = [
            np.concatenate([prompt.codes[:, :levels], new.codes])
            for prompt, new in zip(prompts, continued, strict=True)
        ]
        given = [prompt.codes for prompt in prompts]
        return add_fine_levels(self.fine, coarse, given, streams, config.fine_temperature, stopwatch)


def generate_audiolm(
    expdirs: Sequence[str | Path],
    codec_name: str,
    output: str | Path,
    sampling: AudioLMSamplingConfig,
    *,
    data_dir: str | Path | None = None,
    prompt_seconds: float = 3.0,
    prompt_encoding: str = PROMPT_ENCODING,
    kmeans: str | None = None,
    keys: str | None = None,
    count: int = 0,
    max_seconds: float = 10.0,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Write ``wav/``, ``wav.scp``, ``acoustic.scp``, ``generate.json`` and ``timing.json`` to ``output``.

    Args:
        expdirs: of the semantic, the coarse and the fine stage.
        codec_name: as for ``synthesize``.
        output: directory; one with a ``wav.scp`` is complete, and nothing is done.
        sampling: temperatures.
        data_dir: with the tokens of the utterances whose beginnings are prompts.
        prompt_seconds: length of each prompt.
        prompt_encoding: of the prompt's seconds alone, or as part of the recording.
        kmeans: the semantic tokenizer, for prompts that are encoded alone.
        keys: file whose first column names the utterances; all by default.
        count: number of unprompted utterances, where there is no data_dir.
        max_seconds: longest utterance, prompt included.
        seed: of the sampling.
        device: where the networks run.
    """
    check_encoding(prompt_encoding, kmeans, data_dir is not None)
    output = Path(output)
    if (output / "wav.scp").exists():
        logger.info("%s: already generated; nothing to do", output)
        return
    codec = load_acoustic_tokenizer(codec_name, device)
    generator, stopwatch = ContinuationGenerator.load(expdirs, codec, device), Stopwatch()
    if data_dir is None:
        empty = SpeechPrompt(np.zeros(0, np.int64), np.zeros((0, codec.info.num_levels), np.int64))
        prompts = {f"unprompted-{number:04d}": empty for number in range(1, count + 1)}
    else:
        prompts = _read_prompts(generator, Path(data_dir), prompt_seconds, keys)
        if prompt_encoding == ALONE:
            info, frames = generator.semantic.semantic, len(next(iter(prompts.values())).codes)
            ratio = FrameRatio.of(info, codec.info)
            used = ratio.token_of(ratio.starts(0, frames))
            alone = encode_alone(data_dir, prompts, (int(used[-1]) + 1, frames), codec, kmeans, info, device)
            check_lost(list(prompts), alone, f"prompts of {data_dir}")
            prompts = {utt: SpeechPrompt(tokens[used], codes) for utt, (tokens, codes) in alone.items()}
    seeds = [utterance_seed(seed, utt) for utt in prompts]
    options = {"seeds": seeds, "max_seconds": max_seconds, "stopwatch": stopwatch}
    codes = dict(zip(prompts, generator.generate(list(prompts.values()), sampling, **options), strict=True))
    write_tokens(output / "acoustic", codes.items(), codec.info)
    for utt in codes:
        wav = waveform(codec, codes[utt], stopwatch)
        write_audio(output / "wav" / f"{utt}.wav", wav, codec.info.sample_rate)
    settings = {
        "audiolm": [str(path) for path in expdirs],
        "codec": codec_name,
        "data_dir": str(data_dir) if data_dir else None,
        "prompt_seconds": prompt_seconds if data_dir else 0.0,
        "prompt_encoding": prompt_encoding if data_dir else None,
        "max_seconds": max_seconds,
        "seed": seed,
        "audiolm_sampling": asdict(sampling),
    }
    write_text(output / "generate.json", json.dumps(settings, indent=2) + "\n")
    write_text(output / "timing.json", json.dumps(stopwatch.parts, indent=2) + "\n")
    write_table(output / "wav.scp", {utt: str(output / "wav" / f"{utt}.wav") for utt in codes})


def _read_prompts(
    generator: ContinuationGenerator, data_dir: Path, seconds: float, keys: str | None
) -> dict[str, SpeechPrompt]:
    """First ``seconds`` of a data directory's utterances; shorter ones, and those without tokens, are skipped."""
    semantic, acoustic = (TokenArchive(data_dir / f"{kind}.scp") for kind in ("semantic", "acoustic"))
    semantic.info.check_same(generator.semantic.semantic, str(semantic.scp), "AudioLM's training")
    acoustic.info.check_same(generator.coarse.acoustic, str(acoustic.scp), "AudioLM's training")
    ids = list(read_table(keys)) if keys else acoustic.ids
    check_ids(ids, keys or acoustic.scp)  # they become file names
    ratio = FrameRatio.of(semantic.info, acoustic.info)
    frames = ratio.num_frames(round(seconds * semantic.info.frame_rate))
    starts = ratio.starts(0, frames)
    ids, prompts = with_tokens(ids, semantic), {}
    for utt in ids:
        tokens, codes = align(utt, semantic[utt], acoustic[utt], ratio)
        if len(codes) >= frames:
            tokens, codes = tokens[starts].astype(np.int64), codes[:frames].astype(np.int64)
            prompts[utt] = SpeechPrompt(tokens, codes)
    if not prompts:
        raise InputError(f"{acoustic.scp}: no utterance is long enough for a prompt of {seconds:g} s")
    if len(prompts) < len(ids):
        short = len(ids) - len(prompts)
        logger.warning("%d of %d utterances are shorter than their prompt and skipped", short, len(ids))
    return prompts
