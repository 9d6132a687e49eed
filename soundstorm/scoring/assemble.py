"""From names and files on the command line to the metrics of one system and its score file."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soundstorm.data.audio import Utterances
from soundstorm.data.data_dir import read_table
from soundstorm.scoring.acoustic_consistency import AcousticConsistency, Embed
from soundstorm.scoring.audio_quality import CodecQuality, Dnsmos, spread
from soundstorm.scoring.config import ScoreConfig
from soundstorm.scoring.intelligibility import Intelligibility, read_references
from soundstorm.scoring.measures import Measure, Measured, Pair
from soundstorm.scoring.recognizers import LoadTrained, load_recognizer
from soundstorm.scoring.system import DecodeInfo, read_decode_info, score_system, write_json
from soundstorm.scoring.voice_preservation import VoicePreservation, load_speaker_model

logger = logging.getLogger(__name__)


class OnSome:
    """A measure on some utterances only, for the slow ones."""

    def __init__(self, measure: Measure, utterances: Collection[str]):
        self._measure, self._utterances = measure, frozenset(utterances)

    def __call__(self, pair: Pair) -> Measured:
        """Measure a chosen pair, nothing for others."""
        return self._measure(pair) if pair.utt_id in self._utterances else Measured()


def score_files(
    system: str,
    *,
    data_dir: str,
    decode_dir: str | None,
    output: str,
    recognizers: Sequence[str],
    bigram_text: str | None,
    speaker: str | None,
    consistency: str | None,
    load_consistency: Callable[[str, str], Embed],
    load_trained: LoadTrained,
    sample_rate: int,
    device: str,
    config: ScoreConfig,
) -> None:
    """Score one system and write the file; a file made from the same inputs is left as it is.

    Args:
        system: Row name.
        data_dir: Test set.
        decode_dir: Output of decoding, None for the originals.
        output: JSON file.
        recognizers: Names; the first one's figures are called wer and cer, the others' carry their name.
        bigram_text: For pocketsphinx and closed vocabularies.
        speaker: Speaker model's name, None for no voice preservation.
        consistency: Experiment directory, None for no acoustic consistency.
        load_consistency: Directory and device to embedding function.
        load_trained: Directory and device to a recogniser that train_recognizer made.
        sample_rate: Hz.
        device: cpu or cuda.
        config: The rest.
    """
    decoded_dir = Path(decode_dir) if decode_dir else None
    info = read_decode_info(decoded_dir)
    settings = {
        "recognizers": list(recognizers),
        "bigram_text": bigram_text,
        "speaker": speaker,
        "consistency": consistency,
        "sample_rate": sample_rate,
        **asdict(config),
    }
    inputs = fingerprint(
        [data_dir, decode_dir, consistency, *(name.removeprefix("closed:") for name in recognizers)],
        {"system": system, **settings},
    )
    if _is_current(Path(output), inputs):
        logger.info("%s: up to date", output)
        return
    original = Utterances(data_dir, sample_rate)
    decoded = Utterances(decoded_dir, sample_rate) if decoded_dir else None
    text_file = Path(data_dir) / "text"
    texts = read_references(read_table(text_file)) if text_file.is_file() else {}
    ids = spread(original.ids, config.max_utterances)
    measures: list[Measure] = []
    if texts:
        measures += _intelligibility(
            recognizers, ids, info, bigram_text=bigram_text, load_trained=load_trained, device=device, config=config
        )
    elif recognizers:
        logger.warning("%s has no text: no word errors", data_dir)
    prompt_seconds = info.prompt_seconds or config.prompt_seconds
    if speaker is not None:
        measures.append(
            VoicePreservation(
                load_speaker_model(speaker, device=device),
                prompt_seconds=prompt_seconds,
                starts_with_prompt=info.starts_with_prompt,
                min_seconds=config.min_voice_seconds,
            )
        )
    if consistency is not None:
        embed = load_consistency(consistency, device)
        measures.append(AcousticConsistency(embed, prompt_seconds=prompt_seconds, crop_seconds=config.crop_seconds))
    if config.quality_utterances != 0:
        measures.append(OnSome(Dnsmos(), spread(ids, config.quality_utterances)))
    if info.source == "codec":
        measures.append(CodecQuality())
    timing = decoded_dir / "timing.json" if decoded_dir else None
    content = score_system(
        system,
        original=original,
        decoded=decoded,
        texts=texts,
        ids=ids,
        measures=measures,
        info=info,
        timing=timing if timing is not None and timing.is_file() else None,
        num_resamples=config.num_resamples,
        seed=config.seed,
    )
    content["decode_dir"], content["settings"], content["inputs"] = decode_dir, settings, inputs
    write_json(Path(output), content)
    logger.info("%s: %s", output, summary(content))


def _intelligibility(
    names: Sequence[str],
    ids: Sequence[str],
    info: DecodeInfo,
    *,
    bigram_text: str | None,
    load_trained: LoadTrained,
    device: str,
    config: ScoreConfig,
) -> list[Measure]:
    measures: list[Measure] = []
    for position, name in enumerate(names):
        recognizer = load_recognizer(name, device=device, bigram_text=bigram_text, load_trained=load_trained)
        suffix = "_" + re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") if position else ""
        measure: Measure = Intelligibility(recognizer, prompt_seconds=info.prompt_seconds, suffix=suffix)
        if position and config.second_utterances is not None:
            measure = OnSome(measure, spread(ids, config.second_utterances))
        measures.append(measure)
    return measures


def fingerprint(paths: Sequence[str | None], settings: dict[str, Any]) -> str:
    """A digest of the settings and of size and time of the files that decide a score."""
    stamps = {}
    for path in filter(None, paths):
        for name in (
            "wav.scp",
            "segments",
            "text",
            "decode.json",
            "timing.json",
            "model.safetensors",
            "config.json",
        ):
            file = Path(path) / name
            if file.is_file():
                status = file.stat()
                stamps[str(file)] = [status.st_size, status.st_mtime_ns]
    return hashlib.sha256(json.dumps([settings, stamps], sort_keys=True).encode()).hexdigest()


def _is_current(output: Path, inputs: str) -> bool:
    try:
        return json.loads(output.read_text(encoding="utf-8")).get("inputs") == inputs
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def summary(content: dict[str, Any]) -> str:
    """One line of a score file's figures."""
    figures = (f"{name} {lengths['all']['value']:.3g}" for name, lengths in content["metrics"].items())
    return f"{content['system']}, {content['num_utterances']} utterances: {', '.join(figures)}"
