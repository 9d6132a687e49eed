"""Stage 6: decode the utterances of a data directory, so that they can be scored."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from soundstorm.data.archive import TokenArchive, TokenizerInfo, write_tokens
from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import check_ids, read_table, write_table, write_text
from soundstorm.data.data_dir_values import has_words
from soundstorm.data.datasets.aligned_tokens_dataset import align
from soundstorm.data.errors import InputError
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.share import Share
from soundstorm.data.table_index import read_seconds
from soundstorm.decoding.acoustic_generator import find_generator, kind_named, load_generator, sampling_of
from soundstorm.decoding.best_of import Reranker, best_of
from soundstorm.decoding.decode_texts import decode_texts, long_enough
from soundstorm.decoding.decoding_system import System
from soundstorm.decoding.merge_decodings import LEFT_OUT
from soundstorm.decoding.prompt_encoding import encode_alone
from soundstorm.decoding.semantic_generator import load_semantic_generator, text_sampling_of
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.timed_continuation import TimedContinuation
from soundstorm.decoding.waveform import utterance_seed, waveform
from soundstorm.tokens.acoustic import AcousticTokenizer, load_acoustic_tokenizer
from soundstorm.tokens.merge import check_lost, with_tokens

logger = logging.getLogger(__name__)
Prompt = tuple[np.ndarray, np.ndarray]  # semantic tokens (T), acoustic tokens (T, Q)
MIN_TARGET_SECONDS = 1.0  # what must remain of an utterance after its prompt


def decode_data_dir(
    data_dir: str | Path,
    output: str | Path,
    system: System,
    *,
    keys: str | None = None,
    share: Share | None = None,
    device: str = "cpu",
    reranker: Reranker | None = None,
    load_speaker_model: Callable[[str], Any] | None = None,
) -> None:
    """Write ``wav/``, ``wav.scp``, token archives, ``decode.json`` and ``timing.json`` to ``output``.

    With ``best_of`` above 1 there is also ``best_of.json``: the estimated quality of all samples.

    ``wav.scp`` is written last: a directory that has it is complete, and nothing is done.

    Args:
        data_dir: with ``acoustic.scp``, and by source ``semantic.scp`` or ``text``; without a codec ``utt2dur``
            and ``text``.
        output: directory.
        system: what to decode with.
        keys: file whose first column names the utterances; all by default.
        share: decode only this shard, into ``share.<number>`` of ``output``; :func:`merge_decodings` joins
            all.
        device: where the networks run.
        reranker: estimated quality of a sample, for ``best_of`` above 1.
        load_speaker_model: by its name, for a system that makes samples of text in several voices.
    """
    data_dir, output = Path(data_dir), Path(output) / f"share.{share.number}" if share else Path(output)
    count = system.samples
    if count > 1 and reranker is None:
        raise InputError(f"decode.best_of is {count}, but nothing ranks the samples; set it to 1")
    if (output / "wav.scp").exists():
        logger.info("%s: already decoded; nothing to do", output)
        return
    load_reader = _reader_loader(system)
    if system.codec is None:
        table = data_dir / "utt2dur"
        seconds = dict(zip(*read_seconds(table), strict=True))
        known = list(seconds)
    else:
        codec, acoustic = load_acoustic_tokenizer(system.codec, device), TokenArchive(data_dir / "acoustic.scp")
        acoustic.info.check_same(codec.info, str(acoustic.scp), system.codec)
        table, known = acoustic.scp, acoustic.ids
    ids = list(read_table(keys)) if keys else known
    check_ids(ids, keys or table)  # they become file names
    if system.codec is None and (unknown := [utt for utt in ids if utt not in seconds]):
        raise InputError(f"{table}: no {unknown[0]}, which {keys} names (and {len(unknown) - 1} more)")
    ids = share.of_ids(ids) if share else ids
    output.mkdir(parents=True, exist_ok=True)
    if not ids:  # an empty shard of few utterances
        write_table(output / "wav.scp", {})
        return
    stopwatch, kind = Stopwatch(), None
    if system.source == "codec":
        _write_speech({u: acoustic[u].astype(np.int64) for u in ids}, {}, output, acoustic.info, codec, stopwatch)
    else:
        kind, place = find_generator(system.acoustic_model)
        if load_reader:
            load = partial(load_reader, place, load_speaker_model, device)
            if system.codec is not None:  # as long as their tokens, which other systems speak
                seconds = {utt: len(acoustic[utt]) / acoustic.info.frame_rate for utt in ids}
            ids = _speak_texts(load, system, data_dir, output, {utt: seconds[utt] for utt in ids}, stopwatch)
        else:
            ids = _speak_tokens(
                system, data_dir, output, ids, acoustic, codec,
                share=share, device=device, reranker=reranker, stopwatch=stopwatch,
            )  # fmt: skip
    if ids:
        _finish(output, system, ids, stopwatch, device, kind=kind, count=1 if load_reader else count)
    elif share:
        write_table(output / "wav.scp", {})
    else:
        raise InputError(f"{data_dir}: no utterance is long enough for a prompt of {system.prompt_seconds:g} s")


def _speak_tokens(
    system: System,
    data_dir: Path,
    output: Path,
    ids: list[str],
    acoustic: TokenArchive,
    codec: AcousticTokenizer,
    *,
    share: Share | None,
    device: str,
    reranker: Reranker | None,
    stopwatch: Stopwatch,
) -> list[str]:
    """By a system from semantic to acoustic tokens; the utterances spoken."""
    kind, generator = load_generator(system.acoustic_model, codec, device)
    sampling = sampling_of(kind, system.samplings)
    archive = TokenArchive(data_dir / "semantic.scp")
    archive.info.check_same(generator.semantic_info, str(archive.scp), system.acoustic_model)
    pairs = {u: align(u, archive[u], acoustic[u], generator.ratio) for u in with_tokens(ids, archive)}
    prompts, true = _split(pairs, archive, system.prompt_seconds, acoustic.info.frame_rate, generator.ratio)
    texts = read_texts(data_dir, list(true)) if system.source == "text" else dict.fromkeys(true)
    true = {utt: tokens for utt, tokens in true.items() if utt in texts}
    if true and system.encodes_prompts:
        prompts, true = _encode_prompts(system, data_dir, output, prompts, true, archive, codec, share, device)
    ids, semantic = list(true), true
    if not ids:
        return []
    if system.source == "text":
        semantic = _from_text(texts, true, prompts, system, stopwatch, device)
    if system.source == "continuation":
        continuation = TimedContinuation.load(system.continuation, archive.info, device)
        continued = continuation.continue_tokens(
            [prompts[u][0] for u in ids], [len(true[u]) for u in ids],
            temperature=sampling_of("audiolm", system.samplings).semantic_temperature,
            seeds=[utterance_seed(system.seed, utt) for utt in ids], stopwatch=stopwatch,
        )  # fmt: skip
        semantic = dict(zip(ids, continued, strict=True))

    def sample(number: int) -> list[np.ndarray]:
        return generator.acoustic_tokens(
            [semantic[u] for u in ids],
            sampling,
            seeds=[utterance_seed(system.seed, utt, number) for utt in ids],
            prompts=[prompts[u][1] for u in ids] if system.prompt_seconds else None,
            stopwatch=stopwatch,
        )

    wavs = {}
    if system.samples > 1:
        kept = best_of(sample, ids, codec, reranker, count=system.samples, stopwatch=stopwatch)
        generated, wavs = kept.codes, dict(zip(ids, kept.wavs, strict=True))
        scores = dict(zip(ids, kept.scores, strict=True))
        write_text(output / "best_of.json", json.dumps(scores, indent=1) + "\n")
    else:
        generated = sample(0)
    write_tokens(output / "semantic", ((u, semantic[u]) for u in ids), archive.info)
    _write_speech(dict(zip(ids, generated, strict=True)), wavs, output, acoustic.info, codec, stopwatch)
    return ids


def _encode_prompts(
    system: System,
    data_dir: Path,
    output: Path,
    prompts: dict[str, Prompt],
    true: dict[str, np.ndarray],
    archive: TokenArchive,
    codec: AcousticTokenizer,
    share: Share | None,
    device: str,
) -> tuple[dict[str, Prompt], dict[str, np.ndarray]]:
    """Prompts as their seconds alone are encoded, semantic tokens that begin with them; without those that are lost."""
    size = tuple(map(len, prompts[next(iter(true))]))
    alone = encode_alone(data_dir, list(true), size, codec, system.kmeans, archive.info, device)
    lost = [utt for utt in true if utt not in alone]
    if share:  # a share is small: all are counted where they are joined
        write_table(output / LEFT_OUT, dict.fromkeys(lost, "prompt"))
    else:
        check_lost([*alone, *lost], alone, f"prompts of {data_dir}")
    begun = {utt: np.concatenate([prompt[0], true[utt][len(prompt[0]) :]]) for utt, prompt in alone.items()}
    return alone, begun


def _write_speech(
    codes: dict[str, np.ndarray],
    wavs: dict[str, np.ndarray],
    output: Path,
    info: TokenizerInfo,
    codec: AcousticTokenizer,
    stopwatch: Stopwatch,
) -> None:
    """Acoustic tokens and their sound, some of which is there already."""
    write_tokens(output / "acoustic", codes.items(), info)
    for utt in tqdm(codes, unit="utt", desc=output.name, disable=not sys.stderr.isatty()):
        wav = wavs[utt] if utt in wavs else waveform(codec, codes[utt], stopwatch)
        write_audio(output / "wav" / f"{utt}.wav", wav, codec.info.sample_rate)


def _finish(
    output: Path, system: System, ids: list[str], stopwatch: Stopwatch, device: str, *, kind: str | None, count: int
) -> None:
    """What says how the speech was made, and last the table of it."""
    settings = {
        # What follows no tokens was not told what to say, whatever it was given.
        "from": system.source if kind is None or kind_named(kind).follows_semantic else "continuation",
        "title": system.title(kind),
        "kind": kind,
        "prompt_seconds": system.prompt_seconds,
        "prompt_encoding": system.prompt_encoding if system.prompt_seconds and kind else None,
        "passes": round(stopwatch.counts["passes"] / (len(ids) * count), 2),  # of the mean utterance
        "codec": system.codec,
        "acoustic_model": system.acoustic_model,
        "text_to_semantic": system.text_to_semantic,
        "continuation": system.continuation,
        "sampling": asdict(sampling_of(kind, system.samplings)) if kind else None,
        "text": asdict(text_sampling_of(system.text_kind, system.samplings)) if system.text_kind else None,
        "seed": system.seed,
        "best_of": count,
        "threads": torch.get_num_threads(),
        "device": device,
    }
    write_text(output / "decode.json", json.dumps(settings, indent=2) + "\n")
    write_text(output / "timing.json", json.dumps(stopwatch.parts, indent=2) + "\n")
    write_table(output / "wav.scp", {utt: str(output / "wav" / f"{utt}.wav") for utt in ids})


def _reader_loader(system: System):
    """What loads the system's model, where that makes samples of text; None of others.

    Raises:
        ValueError: it reads something else than is asked for, or needs a codec that is not named.
    """
    kind = place = load_reader = None
    if system.source != "codec":
        kind, place = find_generator(system.acoustic_model)
        load_reader = kind_named(kind).load_reader
    if load_reader is None and system.codec is None:
        raise InputError(
            f"--codec is missing: {place or 'a round trip'} needs the codec of its tokens, an experiment directory of "
            "stage 2 or a ready one"
        )
    if system.source == "codec":
        return None
    if load_reader is None and system.source == "text" and not system.text_to_semantic:
        raise InputError("--from text needs --text-to-semantic, the experiment directory of stage 5")
    if load_reader is not None and system.source != "text":
        raise InputError(f"--from is {system.source!r}, but {place} reads text; use --from text")
    return load_reader


def _speak_texts(
    load, system: System, data_dir: Path, output: Path, seconds: dict[str, float], stopwatch: Stopwatch
) -> list[str]:
    """By a system without tokens, of utterances so long; those spoken, which are those that others speak."""
    least = system.prompt_seconds + MIN_TARGET_SECONDS if system.prompt_seconds else 0.0
    texts = read_texts(data_dir, long_enough(seconds, least))
    if texts:
        kind, _ = find_generator(system.acoustic_model)
        decode_texts(
            texts, data_dir, output, load(), sampling_of(kind, system.samplings),
            prompt_seconds=system.prompt_seconds, seed=system.seed, stopwatch=stopwatch,
        )  # fmt: skip
    return list(texts)


def _split(pairs, archive: TokenArchive, seconds: float, frame_rate: float, ratio: FrameRatio):
    """Prompt tokens (semantic, acoustic) and semantic tokens of each utterance long enough for the prompt."""
    prompt_semantic = round(seconds * archive.info.frame_rate)
    prompt_frames = ratio.num_frames(prompt_semantic)
    least = prompt_frames + (MIN_TARGET_SECONDS * frame_rate if seconds else 1)
    prompts, semantic, short = {}, {}, []
    for utt, (_, codes) in pairs.items():
        if len(codes) < least:
            short.append(utt)
            continue
        tokens = archive[utt][: ratio.token_of(len(codes))]
        semantic[utt] = tokens
        prompts[utt] = (tokens[:prompt_semantic], codes[:prompt_frames])
    if short:
        logger.warning(
            "%d of %d utterances have less than %g s after a prompt of %g s and are skipped (%s, ...)",
            len(short), len(pairs), MIN_TARGET_SECONDS, seconds, short[0],
        )  # fmt: skip
    return prompts, semantic


def read_texts(data_dir: Path, ids: list[str]) -> dict[str, str]:
    """Transcripts of utterances; those without words to pronounce are left out with a warning."""
    texts = read_table(data_dir / "text", ids)
    missing = [utt for utt in ids if utt not in texts]
    if missing:
        raise InputError(f"{data_dir / 'text'}: no transcript of {missing[0]} (and {len(missing) - 1} more)")
    wordless = [utt for utt in ids if not has_words(texts[utt])]
    if wordless:
        some = ", ".join(wordless[:10]) + ", ..." * (len(wordless) > 10)
        logger.warning(
            "%s: %d of %d transcripts have nothing to pronounce and are left out (%s)",
            data_dir / "text", len(wordless), len(ids), some,
        )  # fmt: skip
    return {utt: texts[utt] for utt in ids if utt not in wordless}


def _from_text(
    texts: dict[str, str], true: dict[str, np.ndarray], prompts, system: System, stopwatch: Stopwatch, device: str
) -> dict[str, np.ndarray]:
    """Semantic tokens from the transcripts, continuing each prompt where there is one; prompt included.

    ``true``: those of the recordings, whose utterances are spoken.
    """
    kind, reader = load_semantic_generator(system.text_to_semantic, device)
    config = text_sampling_of(kind, system.samplings)
    semantic, size = {}, config.batch_size
    # Sort by length: a batch takes as long as its longest text.
    order = sorted(true, key=lambda utt: (len(texts[utt]), utt))
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        given = [prompts[utt][0] for utt in batch] if system.prompt_seconds else None
        frames = [len(true[utt]) - (len(prompts[utt][0]) if given else 0) for utt in batch]
        begin = stopwatch.parts["text_to_semantic"]["audio_seconds"]
        with stopwatch.part("text_to_semantic", 0.0):
            tokens = reader.semantic_tokens(
                [texts[utt] for utt in batch],
                config,
                seeds=[utterance_seed(system.seed, utt) for utt in batch],
                prompts=given,
                frames=frames if system.as_recorded else None,
            )
        made = sum(len(t) for t in tokens) / reader.info.frame_rate
        stopwatch.parts["text_to_semantic"]["audio_seconds"] = begin + made
        for utt, new in zip(batch, tokens, strict=True):
            prompt = prompts[utt][0].astype(np.int64)
            semantic[utt] = np.concatenate([prompt, new]) if system.prompt_seconds else new
    return {utt: semantic[utt] for utt in true}
