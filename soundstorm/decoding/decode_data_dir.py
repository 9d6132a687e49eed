"""Stage 6: decode the utterances of a data directory, so that they can be scored."""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from soundstorm.data.archive import TokenArchive, merge_archives, write_tokens
from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import check_ids, read_table, write_table, write_text
from soundstorm.data.data_dir_values import has_words
from soundstorm.data.datasets.aligned_tokens_dataset import align
from soundstorm.data.errors import InputError
from soundstorm.data.frame_ratio import FrameRatio
from soundstorm.data.prompt_encodings import ALONE, PROMPT_ENCODING, check_encoding, say_encoding
from soundstorm.data.share import Share
from soundstorm.decoding.acoustic_generator import find_generator, kind_named, load_generator, sampling_of
from soundstorm.decoding.best_of import Reranker, best_of
from soundstorm.decoding.decode_texts import ALIGNMENTS_FILE, decode_texts, long_enough
from soundstorm.decoding.decoding_config import ParallelConfig
from soundstorm.decoding.prompt_encoding import encode_alone
from soundstorm.decoding.semantic_generator import (
    find_text_kind,
    load_semantic_generator,
    text_kind_named,
    text_sampling_of,
)
from soundstorm.decoding.stopwatch import Stopwatch
from soundstorm.decoding.timed_continuation import TimedContinuation
from soundstorm.decoding.waveform import utterance_seed, waveform
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.tokens.merge import check_lost

logger = logging.getLogger(__name__)
MIN_TARGET_SECONDS = 1.0  # what must remain of an utterance after its prompt
SOURCES = ("codec", "semantic", "text", "continuation")
LEFT_OUT = "left_out"  # table of a share: utterances that could not be decoded


@dataclass(frozen=True)
class System:
    """Source, models and options of a synthesis."""

    source: str  # "codec" (round trip), "semantic" (ground-truth tokens), "text" or "continuation" (of the prompt's)
    codec: str
    acoustic_model: str | None = None  # experiment or pack of an acoustic generator
    variant: str = ""  # what its training is called in tables, among others of its kind
    text_to_semantic: str | None = None
    continuation: str | None = None  # experiment of AudioLM's semantic stage
    prompt_seconds: float = 0.0  # true beginning of each utterance, at all levels; 0 for none
    prompt_encoding: str = PROMPT_ENCODING  # of the prompt's seconds alone, or as part of the recording
    kmeans: str | None = None  # the semantic tokenizer, for prompts that are encoded alone
    as_recorded: bool = False  # speech from text that is as long as the recording
    # Sampling options of generators, by section; all acoustic kinds use seed and best_of of "decode".
    samplings: Mapping[str, Any] = field(default_factory=lambda: {"decode": ParallelConfig()})

    def __post_init__(self):
        if self.source not in SOURCES:
            raise InputError(f"--from is {self.source!r}, expected {', '.join(SOURCES[:-1])} or {SOURCES[-1]}")
        if self.source != "codec" and not self.acoustic_model:
            raise InputError(
                f"--from {self.source} needs --acoustic-model, an experiment directory of stage 4 or a pack"
            )
        if self.source == "continuation" and not self.continuation:
            raise InputError(
                "--from continuation needs --continuation, the experiment directory of train_audiolm --stage semantic"
            )
        if not 0 <= self.prompt_seconds < float("inf"):
            raise InputError(f"--prompt-seconds is {self.prompt_seconds}, expected 0 or more")
        # Neither the round trip nor a system that makes samples of text has semantic tokens of prompts.
        tokens = self.source == "semantic" or self.source == "text" and bool(self.text_to_semantic)
        check_encoding(self.prompt_encoding, self.kmeans, bool(self.prompt_seconds) and tokens)

    @property
    def encodes_prompts(self) -> bool:
        """Whether prompts are encoded here, from their own seconds."""
        return bool(self.prompt_seconds) and self.source != "codec" and self.prompt_encoding == ALONE

    @property
    def seed(self) -> int:
        """Of the run; each utterance has its own stream."""
        return self.samplings["decode"].seed

    @property
    def samples(self) -> int:
        """Samples of each utterance, of which the best one is kept."""
        return self.samplings["decode"].best_of if self.source != "codec" else 1

    @property
    def text_kind(self) -> str | None:
        """Of its semantic generator, if it has one."""
        return find_text_kind(self.text_to_semantic) if self.source == "text" and self.text_to_semantic else None

    def title(self, kind: str | None) -> str:
        """Its name in tables, given the kind of its acoustic generator."""
        if kind is None:
            return "Codec round trip"
        model = kind_named(kind).system_title(sampling_of(kind, self.samplings))
        model += f", {self.variant}" if self.variant else ""
        source = {"text": " from text", "continuation": ", continuation"}.get(self.source, "")
        source += text_kind_named(self.text_kind).suffix if self.text_kind else ""
        if not self.prompt_seconds:
            return model + source
        return say_encoding(f"{model}{source} ({self.prompt_seconds:g} s prompt)", self.prompt_encoding)


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
        data_dir: with ``acoustic.scp``, and by source ``semantic.scp`` or ``text``.
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
    codec = load_acoustic_tokenizer(system.codec, device)
    acoustic = TokenArchive(data_dir / "acoustic.scp")
    acoustic.info.check_same(codec.info, str(acoustic.scp), system.codec)
    ids = list(read_table(keys)) if keys else acoustic.ids
    check_ids(ids, keys or acoustic.scp)  # they become file names
    ids = share.of_ids(ids) if share else ids
    output.mkdir(parents=True, exist_ok=True)
    if not ids:  # an empty shard of few utterances
        write_table(output / "wav.scp", {})
        return
    stopwatch, semantic, wavs, scores, kind, sampling = Stopwatch(), {}, {}, {}, None, None
    load_reader = _reader_loader(system)
    if load_reader:
        load = partial(load_reader, find_generator(system.acoustic_model)[1], load_speaker_model, device)
        ids = _speak_texts(load, system, data_dir, output, ids, acoustic, stopwatch)
        if ids:
            kind = find_generator(system.acoustic_model)[0]
            _finish(output, system, ids, stopwatch, device, kind=kind, count=1)
        elif share:
            write_table(output / "wav.scp", {})
        else:
            raise InputError(f"{data_dir}: no utterance is long enough for a prompt of {system.prompt_seconds:g} s")
        return
    if system.source == "codec":
        codes = {utt: acoustic[utt].astype(np.int64) for utt in ids}
    else:
        kind, generator = load_generator(system.acoustic_model, codec, device)
        sampling = sampling_of(kind, system.samplings)
        archive = TokenArchive(data_dir / "semantic.scp")
        archive.info.check_same(generator.semantic_info, str(archive.scp), system.acoustic_model)
        pairs = {u: align(u, archive[u], acoustic[u], generator.ratio) for u in ids if u in archive}
        rate = acoustic.info.frame_rate
        prompts, true = _split(pairs, archive, system.prompt_seconds, rate, generator.ratio)
        texts = read_texts(data_dir, list(true)) if system.source == "text" else dict.fromkeys(true)
        ids = [utt for utt in true if utt in texts]
        if not ids and share:
            write_table(output / "wav.scp", {})
            return
        if not ids:
            raise InputError(
                f"{archive.scp}: no utterance is long enough for a prompt of {system.prompt_seconds:g} s"
            )
        if system.encodes_prompts:
            size = tuple(map(len, prompts[ids[0]]))
            alone = encode_alone(data_dir, ids, size, codec, system.kmeans, archive.info, device)
            lost, ids = [utt for utt in ids if utt not in alone], list(alone)
            if share:  # a share is small: all are counted where they are joined
                write_table(output / LEFT_OUT, dict.fromkeys(lost, "prompt"))
            else:
                check_lost([*ids, *lost], alone, f"prompts of {data_dir}")
            if not ids:
                write_table(output / "wav.scp", {})
                return
            true = {utt: np.concatenate([alone[utt][0], true[utt][len(alone[utt][0]) :]]) for utt in ids}
            prompts = alone
        semantic = true
        if system.source == "text":
            semantic = _from_text(texts, {utt: true[utt] for utt in ids}, prompts, system, stopwatch, device)
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

        if count > 1:
            kept = best_of(sample, ids, codec, reranker, count=count, stopwatch=stopwatch)
            generated, wavs = kept.codes, dict(zip(ids, kept.wavs, strict=True))
            scores = dict(zip(ids, kept.scores, strict=True))
        else:
            generated = sample(0)
        codes = dict(zip(ids, generated, strict=True))
        write_tokens(output / "semantic", ((u, semantic[u]) for u in ids), archive.info)
    write_tokens(output / "acoustic", codes.items(), acoustic.info)
    for utt in tqdm(ids, unit="utt", desc=output.name, disable=not sys.stderr.isatty()):
        wav = wavs[utt] if utt in wavs else waveform(codec, codes[utt], stopwatch)
        write_audio(output / "wav" / f"{utt}.wav", wav, codec.info.sample_rate)
    if scores:
        write_text(output / "best_of.json", json.dumps(scores, indent=1) + "\n")
    _finish(output, system, ids, stopwatch, device, kind=kind, count=count)


def _finish(
    output: Path, system: System, ids: list[str], stopwatch: Stopwatch, device: str, *, kind: str | None, count: int
) -> None:
    """What says how the speech was made, and last the table of it."""
    settings = {
        "from": system.source,
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
        ValueError: it reads something else than is asked for.
    """
    if system.source == "codec":
        return None
    kind, place = find_generator(system.acoustic_model)
    load_reader = kind_named(kind).load_reader
    if load_reader is None and system.source == "text" and not system.text_to_semantic:
        raise InputError("--from text needs --text-to-semantic, the experiment directory of stage 5")
    if load_reader is not None and system.source != "text":
        raise InputError(f"--from is {system.source!r}, but {place} reads text; use --from text")
    return load_reader


def _speak_texts(
    load, system: System, data_dir: Path, output: Path, ids: list[str], acoustic: TokenArchive, stopwatch: Stopwatch
) -> list[str]:
    """By a system without tokens; the utterances spoken, which are those that others speak."""
    least = system.prompt_seconds + MIN_TARGET_SECONDS if system.prompt_seconds else 0.0
    texts = read_texts(data_dir, long_enough(acoustic, ids, least))
    if texts:
        kind, _ = find_generator(system.acoustic_model)
        decode_texts(
            texts, data_dir, output, load(), sampling_of(kind, system.samplings),
            prompt_seconds=system.prompt_seconds, seed=system.seed, stopwatch=stopwatch,
        )  # fmt: skip
    return list(texts)


def merge_decodings(output: str | Path, number: int) -> None:
    """Join the shares that :func:`decode_data_dir` made into one decode directory; ``wav.scp`` comes last.

    Args:
        output: the directory with ``share.1`` to ``share.<number>``.
        number: of shares.

    Raises:
        FileNotFoundError: a share is missing.
        ValueError: nothing was decoded, or shares were decoded by different settings.
    """
    output = Path(output)
    if (output / "wav.scp").exists():
        return
    shares = [output / f"share.{k}" for k in range(1, number + 1)]
    wavs = {share: read_table(share / "wav.scp") for share in shares}
    decoded = [utt for share in shares for utt in wavs[share]]
    tables = [share / LEFT_OUT for share in shares if (share / LEFT_OUT).exists()]
    check_lost([*decoded, *(utt for table in tables for utt in read_table(table))], set(decoded), output)
    shares = [share for share in shares if wavs[share]]
    if not shares:
        raise InputError(f"{output}: no utterance was decoded; see the logs of its shares")
    settings = [json.loads((share / "decode.json").read_text(encoding="utf-8")) for share in shares]
    passes = sum(each.pop("passes") * len(wavs[share]) for each, share in zip(settings, shares))
    for each, share in zip(settings, shares):
        if each != settings[0]:
            raise InputError(
                f"{share}/decode.json: other settings than {shares[0]}/decode.json; "
                f"remove {output} and decode again"
            )
    settings[0]["passes"] = round(passes / sum(len(wavs[share]) for share in shares), 2)
    for kind in ("semantic", "acoustic"):
        if (shares[0] / f"{kind}.scp").exists():
            merge_archives([share / f"{kind}.scp" for share in shares], output / f"{kind}.scp")
    parts: dict[str, dict[str, float]] = {}
    for share in shares:
        for name, times in json.loads((share / "timing.json").read_text(encoding="utf-8")).items():
            known = parts.setdefault(name, dict.fromkeys(times, 0.0))
            for key, value in times.items():
                known[key] += value
    for name in ("best_of.json", ALIGNMENTS_FILE):
        files = [share / name for share in shares]
        scores = [json.loads(path.read_text(encoding="utf-8")) for path in files if path.exists()]
        if scores:
            merged = {utt: found for each in scores for utt, found in each.items()}
            write_text(output / name, json.dumps(merged, indent=1) + "\n")
    write_text(output / "decode.json", json.dumps(settings[0], indent=2) + "\n")
    write_text(output / "timing.json", json.dumps(parts, indent=2) + "\n")
    table = {utt: path for share in shares for utt, path in wavs[share].items()}
    write_table(output / "wav.scp", dict(sorted(table.items())))


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
