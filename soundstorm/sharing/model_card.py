"""The model card of a pack: content, training, scores, usage, limits and misuse."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from soundstorm.data.archive import TokenizerInfo
from soundstorm.data.data_dir import write_text
from soundstorm.data.errors import InputError
from soundstorm.data.experiment import MODEL_FILE, read_config, source_commit
from soundstorm.data.pack import without_places
from soundstorm.decoding.acoustic_generator import MODULES, part_names
from soundstorm.sharing.evaluation import Result

CARD = "README.md"
HUB_METRICS = {"wer", "cer"}  # those of ours that the hub has under their names
MISUSE = (
    "A model of this kind can imitate a voice from seconds of speech. Prompt it only with voices whose "
    "owners agree, say of what you publish that it is synthetic, and do not use it to pass for a person or "
    "past a speaker-verification system."
)
# Folders of absolute paths in prose and command lines, where a blank ends a path unless a \ stands before it; in quotes
# that begin with one it does not. The / between figures and that of `a`/`b` are no paths.
START = r"/(?=[\w.])"
FOLDERS = re.compile(rf"(?<![^\s:=,(`'\"])(?<!\w[`'\"]){START}(?:(?:\\ (?!-)|[^\s/`'\"()\\])+/)*")
QUOTED_FOLDERS = re.compile(rf"(?<=[`'\"])((?:[\w-]+:)?){START}[^`'\"\n]*/(?=[^`'\"\n]*[`'\"])")


@dataclass(frozen=True)
class Card:
    """Fields of the model card that no experiment records."""

    title: str
    license: str | None = None  # identifier as the hub has them, e.g. cc-by-4.0
    language: str | None = None  # code, e.g. en
    corpus: str | None = None  # what it was trained on, in words
    results: str | None = None  # path of a Markdown file with scores; report.json beside it has the figures
    datasets: Sequence[str] = ()  # names on the hub of what it was trained on
    licenses: Mapping[str, str] = field(default_factory=dict)  # of parts that have another one

    def license_of(self, part: str) -> str | None:
        """Of one part; a model that is only named has its own, which is not said here."""
        return self.licenses.get(part, self.license)

    def check_parts(self, parts: Collection[str]) -> None:
        """Refuse licences of parts that there are not.

        Raises:
            ValueError: names the part.
        """
        for part in sorted(set(self.licenses) - set(parts)):
            raise InputError(f"--part-license is of {part!r:.40}, expected some of {', '.join(parts)}")


def write_card(
    folder: Path,
    card: Card,
    places: dict[str, str],
    sources: dict[str, str],
    infos: dict[str, TokenizerInfo],
    results: Sequence[Result] = (),
) -> None:
    """Write ``README.md`` of the pack.

    Args:
        folder: the pack.
        card: see :class:`Card`.
        places: part -> where it is in the pack, or the name of a codec.
        sources: part -> the experiment it was copied from.
        infos: kind -> tokenizer.
        results: figures of the models.
    """
    task = "text-to-speech" if "text_to_semantic" in places else "audio-to-audio"
    front = {"license": card.license, "language": card.language, "tags": ["soundstorm", "text-to-speech"]}
    front |= {"library_name": "soundstorm", "pipeline_tag": task, "datasets": list(card.datasets)}
    front["metrics"] = sorted({result.metric for result in results} & HUB_METRICS)
    text = "---\n" + yaml.safe_dump({k: v for k, v in front.items() if v}, sort_keys=False) + "---\n\n"
    text += (
        f"# {card.title}\n\nA pack of models of the SoundStorm recipes, made at commit {source_commit()}.\n"
    )
    if card.corpus:
        text += f"Trained on {card.corpus}.\n"
    parts = [
        [part, *_row(part, place, sources[part]), card.license_of(part) or "not stated"]
        for part, place in places.items()
    ]
    head = "part|parameters|steps|last validation loss|trained at commit|licence"
    text += "\n## Parts\n\n" + _table(head, parts)
    rows = [
        [kind, without_places(i.name), i.frame_rate, i.num_levels, i.codebook_size, i.sample_rate]
        + [i.fingerprint[:12]]
        for kind, i in infos.items()
    ]
    text += "\n## Tokens\n\n" + _table("kind|tokenizer|frames/s|levels|codes|Hz|fingerprint", rows)
    text += f"\n## Use\n\n{_usage(places)}\n"
    if card.results:
        text += f"\n## Scores\n\n{_scores(Path(card.results), folder)}\n"
    text += "\n## Limits and misuse\n\nIt is known to work for speech like that it was trained on.\n"
    text += f"{MISUSE}\n"
    write_text(folder / CARD, text)


def _scores(results: Path, folder: Path) -> str:
    """The text of a Markdown file, of whose absolute paths only the last names stay; the pictures that it shows are
    copied into the pack."""

    def copied(shown: re.Match) -> str:
        picture = results.parent / shown[2]
        if not os.path.isfile(picture):  # on the web, for instance
            return shown[0]
        shutil.copyfile(picture, folder / picture.name)
        return f"{shown[1]}({picture.name})"

    text = re.sub(r"(!\[[^\]]*\])\(([^()\s]+)\)", copied, results.read_text(encoding="utf-8").strip())
    return FOLDERS.sub("", QUOTED_FOLDERS.sub(r"\1", text))


def _table(head: str, rows: list[list]) -> str:
    lines = [head.split("|"), ["---"] * len(head.split("|")), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def _row(part: str, place: str, source: str) -> list[str]:
    """Parameters, steps, validation loss and commit, as far as they are known."""
    if not (Path(place) / MODEL_FILE).is_file():
        return ["", "", "", ""] if Path(place).is_dir() else [f"`{without_places(place)}`", "", "", ""]
    steps = loss = commit = ""
    if (Path(place) / "config.yaml").is_file():
        steps = str(read_config(place).get("training", {}).get("max_steps", ""))
    metrics = Path(source) / "metrics.jsonl"
    if metrics.is_file():
        lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
        losses = [line["loss"] for line in lines if line.get("set") == "valid" and "loss" in line]
        loss = f"{losses[-1]:.4g}" if losses else ""
    environment = Path(source) / "environment.txt"
    if environment.is_file():
        lines = environment.read_text(encoding="utf-8").splitlines()
        commits = [line for line in lines if line.startswith("commit ")]
        commit = commits[0].removeprefix("commit ") if commits else ""
    return [f"{count_parameters(Path(place) / MODEL_FILE) / 1e6:.4g} M", steps, loss, commit]


def count_parameters(path: Path) -> int:
    """Numbers in a safetensors file."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as stream:
        return sum(math.prod(stream.get_slice(name).get_shape()) for name in stream.keys())


def _usage(places: dict[str, str]) -> str:
    lines = [
        "With the code of the recipes, `PACK` being this directory, or its name on the hub after "
        "`hf download`:",
        "",
        "```bash",
    ]
    kinds = [kind for kind in MODULES if set(part_names(kind)) & set(places)]
    if kinds and {"kmeans", "codec", "text_to_semantic"} <= set(places):
        voice = "--prompt a_voice.wav --consent"
        lines.append(f'python -m soundstorm.bin.speak --model PACK --text "your words" {voice} --output words.wav')
        if "audiolm_semantic" in places:
            words = "--continue speech.wav --consent --output more.wav"
            lines.append(f"python -m soundstorm.bin.speak --model PACK {words}")
        lines.append("python -m soundstorm.bin.serve --model PACK  # the same on a page in the browser")
    if "kmeans" in places:
        command = "python -m soundstorm.bin.extract_semantic_tokens --kmeans PACK"
        lines.append(f"{command} --data-dir data --output semantic")
    if "codec" in places:
        command = "python -m soundstorm.bin.extract_acoustic_tokens --codec PACK"
        lines.append(f"{command} --data-dir data --output acoustic")
    for kind in kinds:
        model = "PACK" if len(kinds) == 1 else f"{kind}:PACK"
        text = "text_to_semantic" in places
        options = f"--from {'text' if text else 'semantic'} --codec PACK --acoustic-model {model}"
        options += " --text-to-semantic PACK" if text else ""
        lines.append(f"python -m soundstorm.bin.synthesize {options} --data-dir data --output out")
    example = f"--{kinds[0].replace('_', '-')}-exp" if kinds else "--codec-exp"
    lines += ["```", "", f"In a recipe, `./run.sh {example} PACK` and the like; no part needs training then."]
    return "\n".join(lines)
