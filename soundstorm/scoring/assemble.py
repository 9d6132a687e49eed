"""From names and files on the command line to the metrics of systems and their score files."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.data.share import Share
from soundstorm.scoring.acoustic_consistency import AcousticConsistency
from soundstorm.scoring.audio_quality import CodecQuality, Dnsmos
from soundstorm.scoring.intelligibility import Intelligibility, Recognizer
from soundstorm.scoring.measures import Measure, SubsetMeasure, evenly_spaced
from soundstorm.scoring.measuring import MeasuredLog
from soundstorm.scoring.recognizers import load_recognizer, model_of
from soundstorm.scoring.scoring_config import ScoreConfig
from soundstorm.scoring.system import REFERENCE, DecodeInfo, read_decode_info, score_system, to_measure, write_json
from soundstorm.scoring.text_normalization import load_normalizer, read_references
from soundstorm.scoring.versa import Versa, check_versa, run_versa
from soundstorm.scoring.voice_preservation import SpeakerModel, VoicePreservation, load_speaker_model

logger = logging.getLogger(__name__)

MEASURES_VERSION = 3  # one more whenever a figure gets another meaning: scores of before are then made again


@dataclass(frozen=True)
class ScoringJob:
    """A system on a test set, one row of the table."""

    system: str | None  # the row's name; None: what decode.json calls it
    data_dir: str | None  # test set; None: there are no originals, only a table of recordings and their text
    decode_dir: str | None  # output of decoding or a table of recordings, None for the originals
    output: str  # JSON file
    text: str | None = None  # references, where they are not the test set's


def score_files(
    jobs: Sequence[ScoringJob],
    *,
    recognizers: Sequence[str],
    vocabulary_text: str | None,
    speaker: str | None,
    consistency: str | None,
    sample_rate: int,
    device: str,
    config: ScoreConfig,
    share: Share | None = None,
    versa: str | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Score systems, each into its own file; a file made from the same inputs is left as it is.

    Args:
        jobs: What to score; models are loaded once for all of them.
        recognizers: Names; the first one's figures are called wer and cer, the others' carry their name.
        vocabulary_text: Kaldi `text` file with the words of closed vocabularies.
        speaker: Speaker model's name, None for no voice preservation.
        consistency: Experiment directory, None for no acoustic consistency.
        sample_rate: Hz.
        device: cpu or cuda.
        config: The rest.
        share: Measure only these utterances and write no score file; a call without a share finds what was measured.
        versa: Its score_config, to have it measure too.
        dry_run: Measure nothing.

    Returns:
        Outputs that were missing, or made from other inputs or with other settings.
    """
    settings = {
        "recognizers": list(recognizers),
        "vocabulary_text": vocabulary_text,
        "speaker": speaker,
        "consistency": consistency,
        "sample_rate": sample_rate,
        **({} if versa is None else {"versa": versa}),
        **asdict(config),
    }
    outdated = []
    for job in jobs:
        inputs = inputs_digest(
            [
                job.data_dir,
                job.decode_dir,
                *_recordings(job.decode_dir),
                job.text,
                vocabulary_text,
                consistency,
                versa,
                *map(model_of, recognizers),
            ],
            {"system": job.system, **settings},
        )
        if not _is_current(Path(job.output), inputs):
            outdated.append((job, inputs))
        elif not dry_run:
            logger.info("%s: up to date", job.output)
    outputs = [job.output for job, _ in outdated]
    if dry_run or not outdated:
        return outputs
    if versa is not None:
        check_versa(versa)

    def load_embed() -> Callable:
        from soundstorm.models.consistency import load_consistency

        return load_consistency(consistency, device=device)

    # Loaded, with the libraries behind them, for the first row that needs them.
    @cache
    def recognizer(name: str) -> Recognizer:
        return load_recognizer(
            name, device=device, vocabulary_text=vocabulary_text, language=config.language, load=recognizer
        )

    loaders = _Loaders(
        recognizer=recognizer,
        speaker=None if speaker is None else cache(lambda: load_speaker_model(speaker, device=device)),
        embed=None if consistency is None else cache(load_embed),
        normalize=load_normalizer(config.text_normalizer),
    )
    for job, inputs in outdated:
        decode_dir = Path(job.decode_dir) if job.decode_dir else None
        info = read_decode_info(decode_dir)
        decoded = Utterances(decode_dir, sample_rate, lower=True) if decode_dir else None
        original = Utterances(job.data_dir, sample_rate, lower=True) if job.data_dir else decoded
        text_file = Path(job.text) if job.text else Path(job.data_dir) / "text"
        texts = read_references(read_table(text_file), loaders.normalize) if text_file.is_file() else {}
        if recognizers and not texts:
            logger.warning("%s has no text: no word errors", job.data_dir or job.decode_dir)
        ids = evenly_spaced(original.ids, config.max_utterances)
        timing = decode_dir / "timing.json" if decode_dir else None
        log = MeasuredLog(Path(job.output), inputs, name=f"share{share.number}" if share else "partial")
        measures = _measures(
            loaders if job.data_dir else replace(loaders, speaker=None, embed=None),
            recognizers if texts else (),
            ids,
            info,
            config,
        )
        heard = original if decoded is None else decoded
        pending = to_measure(ids, set(heard.ids), share, log)
        if versa is not None and pending:
            other = None if heard is original else original
            found = run_versa(versa, pending, original=other, decoded=heard, texts=texts, device=device)
            measures.append(Versa(found))
        content = score_system(
            job.system or info.require_title(),
            original=original,
            decoded=decoded,
            texts=texts,
            ids=ids,
            measures=measures,
            info=info,
            timing=timing if timing is not None and timing.is_file() else None,
            log=log,
            share=share,
            speakers=_speakers(Path(job.data_dir), ids) if job.data_dir and config.bootstrap == "speaker" else None,
            num_resamples=config.num_resamples,
            seed=config.seed,
        )
        if content is None:
            continue
        content |= {"decode_dir": job.decode_dir, "settings": settings, "inputs": inputs}
        write_json(Path(job.output), content)
        log.remove()
        logger.info("%s: %s", job.output, summary(content))
    return outputs


@dataclass(frozen=True)
class _Loaders:
    recognizer: Callable[[str], Recognizer]
    speaker: Callable[[], SpeakerModel] | None
    embed: Callable[[], Callable] | None
    normalize: Callable[[str], str]


def _measures(
    loaders: _Loaders, recognizers: Sequence[str], ids: Sequence[str], info: DecodeInfo, config: ScoreConfig
) -> list[Measure]:
    measures: list[Measure] = []
    prompt_seconds = info.prompt_seconds or config.prompt_seconds
    for position, name in enumerate(recognizers):
        suffix = "_" + re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") if position else ""
        measure: Measure = Intelligibility(
            loaders.recognizer(name),
            # What prompted rows are compared with is the same part of the recordings and of the codec's round trip.
            prompt_seconds=prompt_seconds if info.group == REFERENCE else info.prompt_seconds,
            suffix=suffix,
            normalize=loaders.normalize,
        )
        if position and config.second_utterances is not None:
            measure = SubsetMeasure(measure, evenly_spaced(ids, config.second_utterances))
        measures.append(measure)
    if loaders.speaker is not None:
        measures.append(
            VoicePreservation(
                loaders.speaker(),
                prompt_seconds=prompt_seconds,
                starts_with_prompt=info.starts_with_prompt,
                min_seconds=config.min_voice_seconds,
            )
        )
    if loaders.embed is not None:
        measures.append(
            AcousticConsistency(
                loaders.embed(), prompt_seconds=prompt_seconds, crop_seconds=config.crop_seconds
            )
        )
    if config.quality_utterances != 0:
        measures.append(SubsetMeasure(Dnsmos(), evenly_spaced(ids, config.quality_utterances)))
    if info.source == "codec":
        measures.append(CodecQuality())
    return measures


def _speakers(data_dir: Path, ids: Sequence[str]) -> dict[str, str] | None:
    """The speaker of each utterance; None where the test set does not say, or has one only."""
    table = read_table(data_dir / "utt2spk") if (data_dir / "utt2spk").is_file() else {}
    speakers = {utt: table[utt] for utt in ids if utt in table}
    if len(speakers) == len(ids) and len(set(speakers.values())) > 1:
        return speakers
    logger.warning("%s: no two speakers in utt2spk: intervals draw utterances", data_dir)
    return None


def _recordings(decode_dir: str | None) -> Iterable[str]:
    """Paths in a table of recordings, which others may replace under the same names; none of what we have decoded."""
    return read_table(decode_dir).values() if decode_dir and Path(decode_dir).is_file() else ()


def inputs_digest(paths: Sequence[str | None], settings: dict[str, Any]) -> str:
    """A digest of the settings, of size and time of the files that decide a score, and of what its figures mean."""
    stamps = {}
    for path in filter(None, paths):
        for name in (
            "",  # a table by itself
            "wav.scp",
            "segments",
            "text",
            "utt2spk",
            "decode.json",
            "timing.json",
            "model.safetensors",
            "config.json",
        ):
            file = Path(path) / name
            if file.is_file():
                status = file.stat()
                stamps[str(file)] = [status.st_size, status.st_mtime_ns]
    return hashlib.sha256(json.dumps([MEASURES_VERSION, settings, stamps], sort_keys=True).encode()).hexdigest()


def _is_current(output: Path, inputs: str) -> bool:
    try:
        return json.loads(output.read_text(encoding="utf-8")).get("inputs") == inputs
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def summary(content: dict[str, Any]) -> str:
    """One line of a score file's figures."""
    figures = (f"{name} {lengths['all']['value']:.3g}" for name, lengths in content["metrics"].items())
    return f"{content['system']}, {content['num_utterances']} utterances: {', '.join(figures)}"
