"""Memory and time from a start to the first batch with as many utterances as LibriLight has.

    python tests/benchmarks/index_memory.py --utterances 7000000 --output index_memory.json

Writes tables of that many lines and archives of a few records each, to which all lines point, since the index reads no
tokens; then opens them in other processes as trainings do: SoundStorm's (``tokens``), the codec's (``recordings``) and
text to semantic's (``texts``). Draws the first batch of real records, and reports the largest resident memory of each
process, everything included. The defaults are 60 000 hours: 7 million utterances of 31 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = range(1300, 1756, 7)  # frames at 50 Hz, 30.5 s on average
LEVELS, CODES, CLUSTERS = 12, 1024, 500
TEXT = " as many letters as thirty seconds may hold of somebody who reads to us slowly" * 3
IN_RECORDING = 32  # utterances
LIMIT_BYTES, LIMIT_SECONDS = 4 << 30, 60.0


def write_tables(folder: Path, utterances: int, shards: int) -> None:
    """``semantic.scp``, ``acoustic.scp`` and their numbers of frames, sorted, with ids and paths of a usual length."""
    from soundstorm.data.archive import TokenizerInfo, write_tokens

    rng, names = np.random.default_rng(0), [f"length-{frames}" for frames in LENGTHS]
    choices = rng.integers(0, len(names), utterances).tolist()
    ends = {}  # by kind and shard: how a line of the scp ends, for each length
    for kind, levels, size in (("semantic", 1, CLUSTERS), ("acoustic", LEVELS, CODES)):
        info = TokenizerInfo(kind, "made up", "0" * 64, 50.0, levels, size, 16000)
        shape = (levels,) if kind == "acoustic" else ()
        tokens = [(name, rng.integers(0, size, (frames, *shape))) for name, frames in zip(names, LENGTHS)]
        write_tokens(folder / "dump" / kind, tokens, info)
        (folder / f"{kind}.json").write_text((folder / "dump" / f"{kind}.json").read_text())
        offsets = [line.rpartition(":")[2] for line in (folder / "dump" / f"{kind}.scp").open()]
        for shard in range(shards):
            path = folder / "dump" / f"{kind}_hubert-base-ls960_l9_k500.{shard:03d}.ark"
            os.link(folder / "dump" / f"{kind}.ark", path)
            ends[kind, shard] = [f" {path}:{offset}" for offset in offsets]
    counts = [f" {frames}\n" for frames in LENGTHS]
    files = ("semantic.scp", "acoustic.scp", "utt2num_frames", "utt2num_acoustic_frames", "segments", "utt2dur", "text",
             "wav.scp")  # fmt: skip
    with ExitStack() as stack:
        semantic, acoustic, frames, codes, segments, durations, texts, scp = (
            stack.enter_context(open(folder / name, "w")) for name in files
        )
        for shard in range(shards):
            some = range(shard * utterances // shards, (shard + 1) * utterances // shards)
            ids = [name_of(n) for n in some]
            chosen = choices[some.start : some.stop]
            semantic.write("".join([utt + ends["semantic", shard][c] for utt, c in zip(ids, chosen)]))
            acoustic.write("".join([utt + ends["acoustic", shard][c] for utt, c in zip(ids, chosen)]))
            numbers = "".join([utt + counts[c] for utt, c in zip(ids, chosen)])
            frames.write(numbers)
            codes.write(numbers)
            recordings = [name_of(n // IN_RECORDING * IN_RECORDING) for n in some]
            scp.write("".join([f"{name} /corpora/{name}.flac\n" for utt, name in zip(ids, recordings) if utt == name]))
            starts = [n % IN_RECORDING * 36 for n in some]
            segments.write("".join([f"{utt} {name} {start}.017 {start + LENGTHS[c] // 50}.483\n"
                                    for utt, name, start, c in zip(ids, recordings, starts, chosen)]))  # fmt: skip
            durations.write("".join([f"{utt} {LENGTHS[c] / 50:.2f}\n" for utt, c in zip(ids, chosen)]))
            texts.write("".join([f"{utt}{TEXT}\n" for utt in ids]))


def name_of(number: int) -> str:
    """Speaker, book, chapter and place of a cut, as LibriLight's names have them."""
    return f"{number // 1000:05d}-bookname_{number // 100:06d}_librivox_64kb_mp3-chapter_{number:08d}"


def open_tokens(folder: Path):
    """SoundStorm's training: the dataset and its seconds."""
    from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens
    from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig
    from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens

    return MaskedTokens(AlignedTokens.from_data_dir(folder, WindowConfig()), MaskingConfig())


def open_recordings(folder: Path):
    """The codec's."""
    from soundstorm.data.audio import Utterances
    from soundstorm.data.datasets.audio_crop_dataset import AudioCropDataset

    return AudioCropDataset(Utterances(folder, 16000), 3.0)


def open_texts(folder: Path):
    """Text to semantic's."""
    from soundstorm.data.datasets.text_semantic_dataset import TextSemanticDataset
    from soundstorm.data.text import ByteTokenizer

    return TextSemanticDataset(folder, ByteTokenizer())


OPENERS = {"tokens": open_tokens, "recordings": open_recordings, "texts": open_texts}


def open_and_draw(folder: Path, kind: str) -> dict:
    """In a process of its own: what a training does until its first batch (there is no audio to read one of)."""
    start = time.monotonic()
    from torch.utils.data import DataLoader

    from soundstorm.data.sampler import BatchSampler

    imported, before, processor = time.monotonic() - start, peak(), time.process_time()
    dataset = OPENERS[kind](folder)
    indexed, index_processor = time.monotonic() - start, time.process_time() - processor
    sampler = BatchSampler(dataset.durations, batch_seconds=960.0)
    if kind == "recordings":
        next(iter(sampler))
    else:
        next(iter(DataLoader(dataset, batch_sampler=sampler, collate_fn=dataset.collate)))
    return {
        "utterances": len(dataset),
        "hours": round(float(dataset.durations.sum() / 3600), 1),
        "seconds_of_imports": round(imported, 1),
        "seconds_to_the_index": round(indexed, 1),
        "seconds_to_the_first_batch": round(time.monotonic() - start, 1),
        "processor_seconds_of_imports": round(processor, 1),
        "processor_seconds_of_the_index": round(index_processor, 1),
        "processor_seconds_to_the_first_batch": round(time.process_time(), 1),
        "bytes_of_imports": before,
        "peak_bytes": peak(),
    }


def peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=7_000_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--folder", help="where to write the tables, 6 GB by default (default: a temporary directory)")
    parser.add_argument("--kinds", nargs="+", choices=list(OPENERS), default=list(OPENERS), help="what is opened")
    parser.add_argument("--open", help="measure one kind on the tables of this folder; the command calls itself so")
    parser.add_argument("--output", help="JSON file to write")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if args.open:
        print(json.dumps(open_and_draw(Path(args.open), args.kinds[0])))
        return 0
    results = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_tables(Path(folder), args.utterances, args.shards)
        bytes_on_disk = sum(path.stat().st_size for path in Path(folder).glob("*"))
        for kind in args.kinds:
            # Another process, whose memory has not held the tables while they were written.
            command = [sys.executable, __file__, "--open", folder, "--kinds", kind]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            results[kind] = result = json.loads(done.stdout)
            result["within_4_GiB"] = result["peak_bytes"] < LIMIT_BYTES
            result["within_a_minute"] = result["seconds_to_the_first_batch"] < LIMIT_SECONDS
    text = json.dumps({"bytes_of_tables": bytes_on_disk, **results}, indent=2) + "\n"
    print(text, end="")
    if args.output:
        Path(args.output).write_text(text)
    return 0 if all(result["within_4_GiB"] and result["within_a_minute"] for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
