"""Decoded speech as a folder of WAVs with a list in the manner of Seed-TTS, for the scorers of others."""

from __future__ import annotations

import shutil
from pathlib import Path

from soundstorm.data.audio import Utterances, num_samples, write_audio
from soundstorm.data.data_dir import check_ids, read_table, write_text
from soundstorm.data.errors import InputError
from soundstorm.data.records import as_type, read_json

LIST = "meta.lst"


def export_wavs(data_dir: str | Path, decode_dir: str | Path, output: str | Path) -> int:
    """Write ``meta.lst`` (``id|prompt text|prompt WAV|text``), ``wavs/<id>.wav`` and ``prompts/<id>.wav``.

    A prompt is the beginning of the recording itself, with which the decoded speech begins too; its words are
    not known, so that field is empty, and without a prompt both are.

    Args:
        data_dir: what was decoded, with ``text``.
        decode_dir: output of synthesize.
        output: directory to make.

    Returns:
        Number of utterances.

    Raises:
        FileNotFoundError, ValueError: a table is missing, an utterance has no words, or the output exists.
    """
    import soundfile

    data_dir, decode_dir, output = Path(data_dir), Path(decode_dir), Path(output)
    wavs, texts = read_table(decode_dir / "wav.scp"), read_table(data_dir / "text")
    settings = read_json(decode_dir / "decode.json", "decode again")
    seconds = as_type(settings.get("prompt_seconds", 0.0), float, f"{decode_dir}/decode.json: prompt_seconds")
    check_ids(wavs, decode_dir / "wav.scp")
    if lacking := [name for name in wavs if not texts.get(name)]:
        raise InputError(
            f"{data_dir / 'text'}: no words of {lacking[0]} and {len(lacking) - 1} more; add them"
        )
    if not wavs:
        raise InputError(f"{decode_dir / 'wav.scp'}: no utterances; decode again")
    if output.exists():
        raise InputError(f"{output}: is there already; remove it or choose another --output")
    folder = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for name in ("wavs", "prompts") if seconds else ("wavs",):
            (folder / name).mkdir(parents=True)
        rate = soundfile.info(next(iter(wavs.values()))).samplerate
        recordings = Utterances(data_dir, rate, list(wavs), lower=True)
        lines = []
        for name, path in wavs.items():
            shutil.copyfile(path, folder / f"wavs/{name}.wav")
            prompt = f"prompts/{name}.wav" if seconds else ""
            if prompt:
                write_audio(folder / prompt, recordings.read(name)[: num_samples(seconds, rate)], rate)
            lines.append(f"{name}||{prompt}|{texts[name].replace('|', ' ')}\n")
        write_text(folder / LIST, "".join(lines))
        folder.rename(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(wavs)
