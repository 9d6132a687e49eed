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
from contextlib import ExitStack
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = range(1300, 1756, 7)  # frames at 50 Hz, 30.5 s on average
LEVELS, CODES, CLUSTERS = 12, 1024, 500
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
    files = ("semantic.scp", "acoustic.scp", "utt2num_frames", "utt2num_acoustic_frames")
    with ExitStack() as stack:
        semantic, acoustic, frames, codes = (stack.enter_context(open(folder / name, "w")) for name in files)
        for shard in range(shards):
            some = range(shard * utterances // shards, (shard + 1) * utterances // shards)
            # speaker, book, chapter and place of a cut, as LibriLight's names have them
            ids = [f"{n // 1000:05d}-bookname_{n // 100:06d}_librivox_64kb_mp3-chapter_{n:08d}" for n in some]
            chosen = choices[some.start : some.stop]
            semantic.write("".join([utt + ends["semantic", shard][c] for utt, c in zip(ids, chosen)]))
            acoustic.write("".join([utt + ends["acoustic", shard][c] for utt, c in zip(ids, chosen)]))
            numbers = "".join([utt + counts[c] for utt, c in zip(ids, chosen)])
            frames.write(numbers)
            codes.write(numbers)


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
