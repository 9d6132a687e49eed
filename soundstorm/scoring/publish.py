"""From score files to `report.json`, `RESULTS.md`, figures and the listening page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soundstorm.data.archive import TokenArchive, read_counts
from soundstorm.data.audio import Utterances, read_audio
from soundstorm.data.codebook import usage_and_perplexity
from soundstorm.data.data_dir import read_table, write_bytes, write_text
from soundstorm.data.errors import InputError
from soundstorm.data.records import read_json
from soundstorm.scoring.extras import LOSSES_TITLE, extra_figures, extra_sections, read_extra
from soundstorm.scoring.figures import report_figures
from soundstorm.scoring.listening_page import Clip, Example, write_page
from soundstorm.scoring.measures import evenly_spaced
from soundstorm.scoring.measuring import RECORDING
from soundstorm.scoring.report_config import ReportConfig
from soundstorm.scoring.report_content import (
    build_report,
    decoded_on,
    inputs_digest,
    order_scores,
    read_timing_table,
    run_facts,
)
from soundstorm.scoring.score_file import read_score
from soundstorm.scoring.system import write_json
from soundstorm.scoring.tables import render_markdown

logger = logging.getLogger(__name__)
INTRO = (
    "Every system says the same utterance. Original and codec show what the recordings and the tokenizer "
    "allow; prompted systems heard the first seconds of the original."
)


def publish(
    score_paths: Sequence[Path],
    output: Path,
    *,
    config: ReportConfig,
    command: str,
    timing: Path | None = None,
    running: tuple[str, float] | None = None,
    tokens: Path | None = None,
    dialogue: Path | None = None,
    extras: Sequence[Path] = (),
    results: Path | None = None,
    sample_rate: int = 16000,
) -> None:
    """Write the report, unless the one that is there was made from the same scores.

    Args:
        score_paths: Files of `score`, in the order of their rows.
        output: Folder.
        config: Title, examples, targets.
        command: That made the results, for the record.
        timing: The engine's `timing.tsv`.
        running: Stage that is running now and its seconds so far, which `timing` cannot have yet.
        tokens: Acoustic archive whose codebook usage is shown.
        dialogue: Directory of a dialogue that was spoken from a script, to be heard on the page.
        extras: Files of `write_extra`; each becomes a section.
        results: A copy of the Markdown goes here, e.g. the recipe's RESULTS.md.
        sample_rate: Hz.
    """
    if not score_paths:
        raise InputError("a report needs score files, got none; run score first")
    document = output / "report.json"
    spoken = [dialogue / "dialogue.json"] if dialogue else []
    inputs = inputs_digest([*score_paths, *extras, *spoken], {**asdict(config), "tokens": str(tokens)})
    wanted = [document, output / "RESULTS.md", output / "index.html", *([results] if results else [])]
    if _digest_of(document) == inputs and all(path.is_file() for path in wanted):
        logger.info("%s: up to date", output)
        return
    scores = [read_score(path) for path in score_paths]
    seconds = read_timing_table(timing)
    if running is not None:
        seconds[running[0]] = seconds.get(running[0], 0.0) + running[1]
    report = build_report(
        scores,
        title=config.title,
        targets=config.targets,
        usage=codebook_usage(tokens) if tokens else [],
        seconds=seconds,
        facts=run_facts(command, device=decoded_on(scores)),
        extras=[read_extra(path) for path in extras],
        compared_with=config.compared_with,
    )
    figures = report_figures(report, output / "figures")
    figures.update(extra_figures(report["extras"], output / "figures"))
    rows = next(iter(order_scores(scores).values()))
    examples = choose_examples(rows, config.examples, sample_rate)
    if dialogue:
        examples.insert(0, read_dialogue(dialogue, sample_rate))
    write_page(
        output,
        examples,
        title=config.title,
        sample_rate=sample_rate,
        intro=INTRO,
        figures=figures,
        embed=config.embed,
    )
    markdown = "\n".join([render_markdown(report), *extra_sections(report["extras"])])
    for path in (output / "RESULTS.md", results):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = markdown
            if LOSSES_TITLE in figures:  # lies beside the text, in a repository too
                picture = path.with_name(f"{path.stem}_losses.png")
                write_bytes(picture, figures[LOSSES_TITLE].read_bytes())
                text += f"\n![{LOSSES_TITLE}]({picture.name})\n"
            write_text(path, text)
    write_json(document, {**report, "inputs": inputs})  # last: a report that exists is complete
    logger.info("%s: %d systems; listen to %s", output, len(scores), output / "index.html")


def choose_examples(rows: Sequence[Mapping[str, Any]], number: int, sample_rate: int) -> list[Example]:
    """Utterances that every system of a set has, in all their versions."""
    shared = set(rows[0]["utterances"])
    for row in rows:
        unread = row.get("left_out", {}).get(RECORDING, {})
        shared &= set(row["utterances"]) - set(unread)
    if not shared:
        return []
    texts = {}
    text_file = Path(rows[0]["data_dir"]) / "text"
    if text_file.is_file():
        texts = read_table(text_file)
    sources = [Utterances(row.get("decode_dir") or row["data_dir"], sample_rate, lower=True) for row in rows]
    return [
        Example(
            utt_id,
            texts.get(utt_id, ""),
            [
                Clip(row["system"], source.read(utt_id), _notes(row["utterances"][utt_id]))
                for row, source in zip(rows, sources)
            ],
        )
        for utt_id in evenly_spaced(shared, number)
    ]


def read_dialogue(directory: Path, sample_rate: int) -> Example:
    """Output of synthesize_dialogue: the prompt as the codec renders it, and the script's turns."""
    record = read_json(directory / "dialogue.json", "remove the directory and run stage 6 again")
    try:
        turns = [(str(turn["voice"]), str(turn["text"])) for turn in record["turns"]]
        words = [prompt["text"] or "words unknown" for prompt in record["prompts"]]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{directory}/dialogue.json: not what synthesize_dialogue writes ({error!r:.80}); "
            "remove the directory and run stage 6 again"
        ) from error
    wav = read_audio(directory / "dialogue.wav", sample_rate, lower=True)
    clips = [Clip("SoundStorm from the script", wav)]
    if (directory / "prompt.wav").is_file():
        prompt = read_audio(directory / "prompt.wav", sample_rate, lower=True)
        clips.insert(0, Clip("Prompt, as the codec gives it back", prompt, {"words": " / ".join(words)}))
    return Example(f"Dialogue: {directory.name}", "", clips, turns)


def _notes(record: Mapping[str, Any]) -> dict[str, str]:
    notes = {}
    if "hypothesis" in record:
        notes["heard"] = record["hypothesis"] or "nothing"
    for metric, name, form in (
        ("wer", "word errors", "{:.0f} %"),
        ("voice_to_original", "voice", "{:.2f}"),
        ("acoustic_consistency", "consistency", "{:.2f}"),
        ("dnsmos", "DNSMOS", "{:.2f}"),
    ):
        if metric in record:
            notes[name] = form.format(record[metric])
    return notes


def codebook_usage(scp: Path) -> list[dict[str, float]]:
    """How much of the codebooks a corpus uses: of each RVQ level per cent of the codes that occur, and perplexity."""
    levels = enumerate(zip(*usage_and_perplexity(read_counts(TokenArchive(scp)))))  # 0 is the coarsest
    return [{"level": level, "usage": 100.0 * usage, "perplexity": perplexity} for level, (usage, perplexity) in levels]


def _digest_of(document: Path) -> str | None:
    try:
        return json.loads(document.read_text(encoding="utf-8")).get("inputs")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
