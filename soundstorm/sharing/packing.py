"""Packing of trained experiments (see ``data/pack.py``): everything that synthesis with them needs."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.data_dir import write_text
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import MODEL_FILE, config_section, has_config, is_finished, read_config
from soundstorm.data.pack import (
    CODEC_NAME,
    DECODING_FILE,
    FORMAT,
    PACK_FILE,
    SSL_MODEL,
    copy_files,
    describe_files,
    own_ssl_model,
    part_of,
    ssl_prefix,
    without_places,
)
from soundstorm.data.records import read_json
from soundstorm.decoding.acoustic_generator import (
    MODULES,
    find_generator,
    kind_named,
    part_names,
    stage_place,
)
from soundstorm.decoding.semantic_generator import load_semantic_generator
from soundstorm.decoding.speech_generator import read_sampling
from soundstorm.models.consistency import load_consistency
from soundstorm.models.hub import split_choice
from soundstorm.models.recognizer import load_trained_recognizer
from soundstorm.models.recognizer_config import RECOGNIZER
from soundstorm.models.text_to_semantic_config import CHARACTERS_FILE, ENCODER_DIR, REPORT_FILE, SENTENCEPIECE_FILE
from soundstorm.sharing.evaluation import read_results, write_results
from soundstorm.sharing.model_card import Card, write_card
from soundstorm.tokens.acoustic import load_acoustic_tokenizer
from soundstorm.tokens.kmeans import CENTROIDS, DESCRIPTION, KMeans
from soundstorm.tokens.semantic import SemanticTokenizer

logger = logging.getLogger(__name__)

EXPERIMENT_FILES = (MODEL_FILE, SENTENCEPIECE_FILE, CHARACTERS_FILE, ENCODER_DIR)
TRANSFORMERS_FILES = ("config.json", "preprocessor_config.json", MODEL_FILE)
# Of parts that are no acoustic generator: part -> checks that it can be loaded; tokenizers are loaded anyway.
LOADERS = {
    "text_to_semantic": load_semantic_generator,
    "codec": None,
    "kmeans": None,
    "recognizer": load_trained_recognizer,
    "consistency": load_consistency,
}


def generator_parts(place: str) -> dict[str, str]:
    """Experiments of an acoustic generator, one for each trained stage: part of a pack -> directory."""
    kind, place = find_generator(place)
    if not kind_named(kind).stages:
        return {kind: part_of(place, kind)}
    places = {f"{kind}_{stage}": stage_place(place, kind, stage) for stage in kind_named(kind).stages}
    return {part: stage for part, stage in places.items() if has_config(stage)}


def pack_model(
    output: str | Path,
    experiments: dict[str, str],
    card: Card,
    *,
    acoustic_models: Sequence[str] = (),
    decoding: str | Path | None = None,
) -> None:
    """Copy the experiments into ``output``, without paths of the machine they were trained on.

    The copies are loaded before ``output`` gets its name, so that an existing pack works.

    Args:
        output: the directory to make.
        experiments: part, of ``LOADERS`` -> experiment directory; the codec may also be one of transformers.
        card: fields of the model card that no experiment records.
        acoustic_models: experiment directories of acoustic generators.
        decoding: how they are best decoded, a file like ``conf/decode.yaml``; it becomes the pack's.

    Raises:
        ValueError: ``output`` exists, or the experiments have different tokenizers.
        FileNotFoundError: an experiment is missing or not trained to its end.
    """
    output = Path(output)
    if not experiments and not acoustic_models:
        raise InputError(
            f"the parts to pack are {list(experiments)}; "
            f"expected --acoustic-model or some of {', '.join(LOADERS)}"
        )
    if output.exists():
        raise InputError(f"{output}: is there already; remove it or choose another --output")
    sources = {part: place for model in acoustic_models for part, place in generator_parts(model).items()}
    sources |= {part: part_of(place, part) for part, place in experiments.items()}
    card.check_parts(sources)
    infos = check_tokenizers(sources)
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        parts = {part: _copy(part, source, folder) for part, source in sources.items()}
        tokenizers = {kind: info.fingerprint for kind, info in infos.items()}
        description = {"format": FORMAT, "parts": parts, "tokenizers": tokenizers}
        description["licenses"] = {part: card.license_of(part) for part in parts}
        description["files"] = describe_files(folder, parts)
        write_text(folder / PACK_FILE, json.dumps(description, indent=2) + "\n")
        if decoding is not None:
            copy_decoding(Path(decoding), folder)
        copied = check_tokenizers({part: part_of(folder, part) for part in parts})
        for kind, info in infos.items():
            info.check_same(copied[kind], "the experiments", str(folder))
        _load_all(folder, parts)
        results = read_results(card, parts)
        write_results(folder, results)
        write_card(folder, card, {part: part_of(folder, part) for part in parts}, sources, infos, results)
        os.rename(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    logger.info("%s: %s", output, ", ".join(parts))


def copy_decoding(source: Path, folder: Path) -> None:
    """Copy a recipe's ``decode.yaml`` into a pack, if it is one.

    Raises:
        FileNotFoundError, ValueError: it is none.
    """
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such file; give the decode.yaml of a recipe")
    read_sampling(source)
    shutil.copyfile(source, folder / DECODING_FILE)


def check_tokenizers(places: dict[str, str]) -> dict[str, TokenizerInfo]:
    """The semantic and the acoustic tokenizer that all parts agree on.

    Args:
        places: part -> directory, or the name of a codec of transformers.

    Raises:
        ValueError: two parts were trained on tokens of different tokenizers.
    """
    found: dict[str, tuple[str, TokenizerInfo]] = {}
    for part, place in places.items():
        for info in _tokenizers(part, place):
            where, first = found.setdefault(info.kind, (place, info))
            first.check_same(info, where, place)
    return {kind: info for kind, (_, info) in found.items()}


def _tokenizers(part: str, place: str) -> list[TokenizerInfo]:
    if part == "codec":
        return [load_acoustic_tokenizer(place).info]
    if part == "kmeans":
        return [SemanticTokenizer.load(place).info]
    config = read_config(place)
    return [config_section(place, kind, TokenizerInfo) for kind in ("semantic", "acoustic") if kind in config]


def _copy(part: str, source: str, folder: Path) -> str:
    """Copy one part; returns its entry in ``pack.json``."""
    target = folder / part
    if part == "kmeans":
        _copy_kmeans(Path(source), target)
        return part
    codec = CODEC_NAME.fullmatch(source) if part == "codec" and not Path(source).is_dir() else None
    family, _, name = source.partition(":")
    if part == "codec" and not Path(source).is_dir() and name:
        name, levels = split_choice(name)
        if Path(name).is_dir():
            copy_files(Path(name), target, TRANSFORMERS_FILES)
            return f"{family}:./{part}{levels and f'@{levels}'}"
        if codec is None:
            raise InputError(f"{source}: neither a directory nor a hub name; give one of these as --codec")
        return load_acoustic_tokenizer(source).info.name  # with its commit
    if not is_finished(source):
        raise FileNotFoundError(f"{source}/{MODEL_FILE}: no such file; train this {part} to its end first")
    _copy_experiment(Path(source), target)
    if part == "consistency":
        ssl_model = own_ssl_model(source, read_config(source)["data"]["ssl_model"])
        _copy_ssl_model(ssl_model, target)
    return part


def _copy_experiment(source: Path, target: Path) -> None:
    copy_files(source, target, EXPERIMENT_FILES)
    config = _shareable(read_config(source))
    write_text(target / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    if (source / REPORT_FILE).is_file():
        report = _shareable(read_json(source / REPORT_FILE, "remove it and train on, which writes it again"))
        write_text(target / REPORT_FILE, json.dumps(report, indent=2) + "\n")


def _copy_kmeans(source: Path, target: Path) -> None:
    kmeans = KMeans.load(source)
    ssl_model = own_ssl_model(source, kmeans.info.features)
    if _copy_ssl_model(ssl_model, target):
        # The k-means names a directory of the machine it was trained on: name the copy.
        replace(kmeans, info=replace(kmeans.info, features=ssl_prefix(ssl_model) + SSL_MODEL)).save(target)
    else:
        copy_files(source, target, (DESCRIPTION, CENTROIDS))


def _copy_ssl_model(ssl_model: str, target: Path) -> bool:
    """Copy the model that tokens listen through, if it is on this machine; False for one on the hub."""
    prefix = ssl_prefix(ssl_model)
    folder = Path(ssl_model.removeprefix(prefix))
    if not folder.is_dir():
        return False
    if prefix == RECOGNIZER:
        _copy_experiment(Path(part_of(folder, "recognizer")), target / SSL_MODEL)
    else:
        copy_files(folder, target / SSL_MODEL, TRANSFORMERS_FILES)
    return True


def _shareable(value: object) -> object:
    """Settings without paths of the machine."""
    if isinstance(value, dict):
        return {key: _shareable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shareable(inner) for inner in value]
    return without_places(value) if isinstance(value, str) else value


def _load_all(folder: Path, parts: dict[str, str]) -> None:
    """Load every network of the pack; the tokenizers have been loaded before."""
    for part in parts:
        if LOADERS.get(part):
            LOADERS[part](part_of(folder, part))
    for kind in MODULES:
        stages = kind_named(kind).stages or (None,)
        for part, stage in zip(part_names(kind), stages, strict=True):
            if part in parts:
                kind_named(kind).load_network(part_of(folder, part), stage)
