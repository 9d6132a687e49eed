"""Memory and time from a start to the first batch with as many utterances as LibriLight has.

    python tests/benchmarks/index_memory.py --utterances 7000000 --output index_memory.json

Writes tables of that many lines and archives of a few records each, to which all lines point, since the index reads no
tokens; then opens them in another process as training does, draws the first batch of real records, and reports that
process' largest resident memory, everything included. The defaults are 60 000 hours: 7 million utterances of 31 s.
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
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = range(1300, 1756, 7)  # frames at 50 Hz, 30.5 s on average
LEVELS, CODES, CLUSTERS = 12, 1024, 500
LIMIT_BYTES, LIMIT_SECONDS = 4 << 30, 60.0


def write_tables(folder: Path, utterances: int, shards: int) -> None:
    """``semantic.scp``, ``acoustic.scp`` and their numbers of frames, sorted, with ids and paths of a usual length."""
    from soundstorm.data.archive import TokenizerInfo, write_tokens

    rng, frame_rate = np.random.default_rng(0), 50.0
    names = [f"length-{frames}" for frames in LENGTHS]
    for kind, levels, size in (("semantic", 1, CLUSTERS), ("acoustic", LEVELS, CODES)):
        info = TokenizerInfo(kind, "made up", "0" * 64, frame_rate, levels, size, 16000)
        shape = (levels,) if kind == "acoustic" else ()
        tokens = [(name, rng.integers(0, size, (frames, *shape))) for name, frames in zip(names, LENGTHS)]
        write_tokens(folder / "dump" / kind, tokens, info)
        (folder / f"{kind}.json").write_text((folder / "dump" / f"{kind}.json").read_text())
        ark = folder / "dump" / f"{kind}.ark"
        offsets = [line.rpartition(":")[2].strip() for line in (folder / "dump" / f"{kind}.scp").open()]
        for shard in range(shards):
            os.link(ark, folder / "dump" / f"{kind}_hubert-base-ls960_l9_k500.{shard:03d}.ark")
        choices = np.random.default_rng(1).integers(0, len(names), utterances)
        table = folder / ("utt2num_frames" if kind == "semantic" else "utt2num_acoustic_frames")
        with open(folder / f"{kind}.scp", "w") as scp, open(table, "w") as numbers:
            for first in range(0, utterances, 100_000):
                lines, counts = [], []
                for number in range(first, min(first + 100_000, utterances)):
                    choice = choices[number]
                    # speaker, book, chapter and place of a cut, as LibriLight's names have them
                    utt = f"{number // 1000:05d}-bookname_{number // 100:06d}_librivox_64kb_mp3-chapter_{number:08d}"
                    shard = number * shards // utterances
                    path = folder / "dump" / f"{kind}_hubert-base-ls960_l9_k500.{shard:03d}.ark"
                    lines.append(f"{utt} {path}:{offsets[choice]}\n")
                    counts.append(f"{utt} {LENGTHS[choice]}\n")
                scp.write("".join(lines))
                numbers.write("".join(counts))


def open_and_draw(folder: Path) -> dict:
    """In a process of its own: what SoundStorm's training does until its first batch."""
    start = time.monotonic()
    from torch.utils.data import DataLoader

    from soundstorm.data.dataset import AlignedTokens
    from soundstorm.data.sampler import BatchSampler
    from soundstorm.data.window_config import WindowConfig
    from soundstorm.models.soundstorm_config import MaskingConfig
    from soundstorm.training.soundstorm_step import MaskedTokens

    imported, before, processor = time.monotonic() - start, peak(), time.process_time()
    dataset = MaskedTokens(AlignedTokens.from_data_dir(folder, WindowConfig()), MaskingConfig())
    indexed, index_processor = time.monotonic() - start, time.process_time() - processor
    sampler = BatchSampler(dataset.durations, batch_seconds=960.0)
    batch = next(iter(DataLoader(dataset, batch_sampler=sampler, collate_fn=dataset.collate)))
    return {
        "utterances": len(dataset),
        "frames": int(dataset.tokens.frames.sum()),
        "hours": float(dataset.tokens.frames.sum() / 50 / 3600),
        "batch_shape": list(batch["codes"].shape),
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
    parser.add_argument("--folder", help="where to write the tables, 3 GB by default (default: a temporary directory)")
    parser.add_argument("--open", help="measure on the tables of this folder; the command calls itself so")
    parser.add_argument("--output", help="JSON file to write")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if args.open:
        print(json.dumps(open_and_draw(Path(args.open))))
        return 0
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_tables(Path(folder), args.utterances, args.shards)
        bytes_on_disk = sum(path.stat().st_size for path in Path(folder).glob("*"))
        # Another process, whose memory has not held the tables while they were written.
        command = [sys.executable, __file__, "--open", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    result = {"bytes_of_tables": bytes_on_disk, **json.loads(done.stdout)}
    result["within_4_GiB"] = result["peak_bytes"] < LIMIT_BYTES
    result["within_a_minute"] = result["seconds_to_the_first_batch"] < LIMIT_SECONDS
    text = json.dumps(result, indent=2) + "\n"
    print(text, end="")
    if args.output:
        Path(args.output).write_text(text)
    return 0 if result["within_4_GiB"] and result["within_a_minute"] else 1


if __name__ == "__main__":
    sys.exit(main())
