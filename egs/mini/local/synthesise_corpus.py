"""Synthesise the embedded corpus: recordings under <corpus-dir>/wav, data directories under data/.

Run from the recipe directory, by local/data.sh. The same settings give the same bytes; a second run finds its stamp and
does nothing.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import zlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
from corpus_plan import PRESETS, SETS, Planned, plan
from espeak import ESpeak
from voices import NOISE, SAMPLE_RATE, Speech, join, speak

from soundstorm.data.audio import write_audio
from soundstorm.data.data_dir import invert, write_table, write_text
from soundstorm.data.data_dir_replace import staged

PACKAGES = ("espeakng-loader", "soxr", "numpy")  # what the bytes depend on beside this code
CODE = ("espeak.py", "grammar.py", "voices.py", "corpus_plan.py", "synthesise_corpus.py")
_engine: list[ESpeak] = []


def stamp(preset: str, seed: int) -> dict:
    """Everything the corpus depends on."""
    code = hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in CODE)).hexdigest()
    return {
        "preset": preset,
        "seed": seed,
        "code": code[:16],
        "packages": {package: version(package) for package in PACKAGES},
    }


def render(planned: Planned, seed: int) -> Speech:
    """The sound of one utterance; depends on nothing that was said before."""
    if not _engine:
        _engine.append(ESpeak())
    rng = np.random.default_rng([seed, zlib.crc32(planned.utt.encode())])
    turns = [speak(_engine[0], voice, text) for voice, text in planned.turns]
    speech = join(turns, list(rng.uniform(0.05, 0.25, size=len(turns) - 1)))
    noise = rng.normal(scale=NOISE, size=len(speech.samples)).astype(np.float32)
    return Speech(speech.samples + noise, speech.phones)


def _render_to_file(job: tuple[Planned, int, Path]) -> tuple[Planned, float, list[tuple[float, float, str]]]:
    planned, seed, wav_dir = job
    speech = render(planned, seed)
    write_audio(wav_dir / planned.set_name / f"{planned.utt}.wav", speech.samples, SAMPLE_RATE)
    return planned, len(speech.samples) / SAMPLE_RATE, speech.phones


def write_data_dir(data_dir: Path, wav_dir: Path, spoken: list) -> None:
    """Write one set as a whole, in the place of an old one and of what was made from it, see `staged`."""
    with staged(data_dir) as temporary:
        _write_tables(temporary, wav_dir, spoken)


def _write_tables(temporary: Path, wav_dir: Path, spoken: list) -> None:
    utt2spk = {planned.utt: planned.speaker for planned, _, _ in spoken}
    write_table(temporary / "wav.scp", {p.utt: str(wav_dir / p.set_name / f"{p.utt}.wav") for p, _, _ in spoken})
    write_table(temporary / "utt2spk", utt2spk)
    write_table(temporary / "spk2utt", invert(utt2spk))
    write_table(temporary / "utt2dur", {planned.utt: str(round(duration, 7)) for planned, duration, _ in spoken})
    write_table(temporary / "text", {planned.utt: planned.text for planned, _, _ in spoken})
    write_table(
        temporary / "phones.ctm",
        {
            planned.utt: "\n".join(f"1 {start:.3f} {duration:.3f} {name}" for start, duration, name in phones)
            for planned, _, phones in spoken
        },
    )


def synthesise(preset: str, seed: int, corpus_dir: Path, data_root: Path, nj: int) -> bool:
    """Make the corpus unless it is there. Returns whether there was anything to do."""
    expected, stamp_file = stamp(preset, seed), corpus_dir / "stamp.json"
    planned = plan(PRESETS[preset], seed)
    sets = [set_name for set_name in SETS if any(utterance.set_name == set_name for utterance in planned)]
    if stamp_file.exists() and json.loads(stamp_file.read_text()) == expected:
        if all((data_root / set_name / "phones.ctm").exists() for set_name in sets):
            return False

    stamp_file.unlink(missing_ok=True)
    new = corpus_dir / "wav.new"
    jobs = [(utterance, seed, new) for utterance in planned]
    with multiprocessing.Pool(nj) as pool:
        spoken = pool.map(_render_to_file, jobs, chunksize=8)
    # One by one: only what is made here is replaced, whatever else lies in the directory.
    wav_dir = corpus_dir / "wav"
    for set_name in sets:
        (wav_dir / set_name).mkdir(parents=True, exist_ok=True)
    for planned, _, _ in spoken:
        name = Path(planned.set_name, f"{planned.utt}.wav")
        os.replace(new / name, wav_dir / name)
    with suppress(OSError):  # of an interrupted run of another size
        for folder in (*(new / set_name for set_name in sets), new):
            folder.rmdir()

    for set_name in sets:
        of_set = [item for item in spoken if item[0].set_name == set_name]
        write_data_dir(data_root / set_name, wav_dir, of_set)
        minutes = sum(duration for _, duration, _ in of_set) / 60
        speakers = len({planned.speaker for planned, _, _ in of_set})
        print(f"{set_name}: {len(of_set)} utterances, {speakers} speakers, {minutes:.1f} minutes")
    write_text(stamp_file, json.dumps(expected, indent=1) + "\n")
    return True


def main(argv: list[str] | None = None) -> None:
    """Command line, see local/data.sh."""
    parser = argparse.ArgumentParser(description="Synthesise the embedded corpus.")
    parser.add_argument("--preset", default="full", choices=sorted(PRESETS), help="size of the corpus")
    parser.add_argument("--corpus-dir", type=Path, default=Path("corpus"), help="where the recordings go")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where the data directories go")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another corpus of the same voices")
    parser.add_argument("--nj", type=int, default=2, help="processes")
    args = parser.parse_args(argv)
    if not synthesise(args.preset, args.seed, args.corpus_dir, args.data_dir, args.nj):
        print(f"{args.corpus_dir}: up to date")


if __name__ == "__main__":
    try:
        main()
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        sys.exit(f"synthesise_corpus.py: {error}")
