#!/usr/bin/env python3
"""Time to quality: seconds of decoding for 30 s of speech, and the words an ear hears in it, beside soundstorm-pytorch.

In the folder of a recipe that has been run to stage 4 (tokens, codec, settings of SoundStorm):

    cd egs/mini && python ../../tests/benchmarks/quality.py --expdir exp --recognizer openai/whisper-base \\
        --peer-python PEER/bin/python --threads 2 --output quality.md

All sides are trained anew, for equal seconds, in slices that take turns: the same width, depth, heads, kernel and
codebooks, the same batches of the recipe's tokens, read into memory before; the same optimizer, clipping, average of
the weights and precision; the learning rate falls with the share of the time that is over. Only ours starts from the
codec's codebooks, for which the peer's API has no place. The peer learns by its own masks ("own"), and by those of the
paper (section 3.2) or of the recipe, which go straight into its network. Its sampler is as it ships, at the paper's
16 iterations. Then all decode the same test utterances one by one, the recipe's codec makes them audible and one ear
reads them; the sides take turns decoding one of 30 s, which is several test utterances after each other. Seconds are
those of the acoustic tokens: the codec's are the same for all.

Of the peer nothing is changed but for packages that it imports and does not use here (peer.py). What its sampler does
is its own: confidences of all levels compete for the places that the first level's schedule has, and finer levels are
sampled at nearly the first iteration's temperature by a network that is shown samples of the levels still to come in
place of masks.
"""

from __future__ import annotations

import argparse
import datetime
import shlex
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from benchmark import Worker, commit, processor  # noqa: E402
from sizes import OURS, PEER, Sizes  # noqa: E402
from tables import PRECISIONS  # noqa: E402

from soundstorm.data.audio import write_audio  # noqa: E402
from soundstorm.data.data_dir import read_table, write_table, write_text  # noqa: E402
from soundstorm.data.datasets.aligned_tokens_dataset import AlignedTokens  # noqa: E402
from soundstorm.data.datasets.dataset_configs import MaskingConfig, WindowConfig  # noqa: E402
from soundstorm.data.datasets.masked_tokens_dataset import MaskedTokens  # noqa: E402
from soundstorm.data.experiment import config_section, read_config  # noqa: E402
from soundstorm.decoding.decoding_config import ParallelConfig  # noqa: E402
from soundstorm.models.devices import precision_on  # noqa: E402
from soundstorm.models.soundstorm import SoundStorm  # noqa: E402
from soundstorm.models.soundstorm_config import SoundStormConfig  # noqa: E402
from soundstorm.scoring.assemble import ScoringJob, score_files  # noqa: E402
from soundstorm.scoring.measures import evenly_spaced  # noqa: E402
from soundstorm.scoring.score_file import read_score  # noqa: E402
from soundstorm.scoring.scoring_config import ScoreConfig  # noqa: E402
from soundstorm.scoring.statistics import Estimate, bootstrap  # noqa: E402
from soundstorm.scoring.tables import table  # noqa: E402
from soundstorm.tokens.acoustic import load_acoustic_tokenizer  # noqa: E402
from soundstorm.training.batches import make_sampler  # noqa: E402
from soundstorm.training.soundstorm_step import SoundStormStep  # noqa: E402
from soundstorm.training.training_config import TrainerConfig  # noqa: E402

LONG_SECONDS = 30.0
MASKS = {"own": "its own masks", "paper": "the paper's masks", "recipe": "the recipe's masks"}


def get_parser() -> argparse.ArgumentParser:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--expdir", default="exp", help="with soundstorm and codec of the recipe (default exp)")
    parser.add_argument("--data-dir", default="data", help="with the sets (default data)")
    parser.add_argument("--train-set", default="train", help="what is learnt from (default train)")
    parser.add_argument("--test-set", default="test", help="what is read (default test)")
    parser.add_argument("--utterances", type=int, help="so many of it, evenly over the ids; all by default")
    parser.add_argument("--decode-config", default="conf/decode.yaml", help="of ours, but for its iterations")
    parser.add_argument("--seconds", type=float, default=180.0, help="of training, each side (default 180)")
    parser.add_argument("--steps", type=int, help="of training, each side, in place of --seconds")
    parser.add_argument("--slice-seconds", type=float, default=15.0, help="of training in a turn (default 15)")
    parser.add_argument("--batches", type=int, default=1500, help="different ones, then the first again")
    parser.add_argument("--iterations", nargs="+", type=int, default=[16, 4, 1], help="of level 1, of ours")
    parser.add_argument("--peer-iterations", nargs="+", type=int, default=[16], help="of level 1, of the peer")
    parser.add_argument("--peer-python", help="Python of an environment with soundstorm-pytorch 0.6.1, see README.md")
    parser.add_argument("--peer-masks", nargs="+", default=["own", "paper"], choices=MASKS, help="one training each")
    parser.add_argument("--peer-style", default="plain", choices=["plain", "default"],
                        help="plain: the recipe's sizes; default: its residual streams and convolutions as it ships")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default 2)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of timing, after one to warm up (default 5)")
    parser.add_argument("--recognizer", required=True, help="the ear, as score --help has it")
    parser.add_argument("--folder", type=Path, help="where codes, speech and scores stay; by default nowhere")
    parser.add_argument("--note", default="", help="what else the machine does, for the record")
    parser.add_argument("--output", type=Path, help="Markdown file; it goes to stdout too")
    return parser


@dataclass
class Side:
    """A network that is trained, and what came out."""

    name: str
    worker: Worker
    iterations: list[int]
    trained: dict = field(default_factory=dict)


@dataclass
class Row:
    """A side with a number of iterations."""

    side: Side
    iterations: int
    seconds: list[float] = field(default_factory=list)  # of each round, for the long utterance
    errors: dict[str, tuple[float, float]] = field(default_factory=dict)  # word errors (times 100) and words

    @property
    def name(self) -> str:
        """In the table."""
        return f"{self.side.name}, {self.iterations}"


def masked_batches(data: AlignedTokens, masking: MaskingConfig, training: TrainerConfig, count: int) -> Iterator[dict]:
    """Batches as the trainer reads them, with masks made of their random numbers for who cannot make them."""
    examples, info = MaskedTokens(data, masking), data.acoustic_info
    sampler = make_sampler(examples, training, rank=0, world_size=1, shuffle=True)
    tiny = SoundStormConfig(layers=1, width=2, heads=1, inner=2, kernel=1)
    sizes = {"num_levels": info.num_levels, "codebook_size": info.codebook_size}
    step = SoundStormStep(SoundStorm(tiny, **sizes, semantic_size=data.semantic_info.codebook_size), masking)
    while True:
        for draws in sampler:
            batch = examples.collate([examples[draw] for draw in draws])
            hidden, target, weights = step.masks(batch)
            weights = torch.ones(len(hidden), info.num_levels) if weights is None else weights
            short = {name: batch[name].to(torch.int16) for name in ("semantic", "codes")}
            padded = torch.tensor(batch["padded"])
            yield {**batch, **short, "padded": padded, "hidden": hidden, "target": target, "weights": weights}
            count -= 1
            if not count:
                return
        sampler.epoch += 1


def write_inputs(args: argparse.Namespace, folder: Path, training: TrainerConfig) -> AlignedTokens:
    """Batches of every kind of masks, semantic tokens of the test utterances and of the long one; the test tokens."""
    expdir = f"{args.expdir}/soundstorm"
    windows = config_section(expdir, "data", WindowConfig)
    data = AlignedTokens.from_data_dir(f"{args.data_dir}/{args.train_set}", windows)
    kinds = {"recipe": config_section(expdir, "masking", MaskingConfig)}
    if args.peer_python and set(args.peer_masks) - {"recipe"}:
        kinds["paper"] = MaskingConfig()
    for name, masking in kinds.items():
        batches = enumerate(masked_batches(data, masking, training, args.batches))
        content = {f"{key}.{number}": value.numpy() for number, batch in batches for key, value in batch.items()}
        np.savez(folder / f"batches_{name}.npz", **content)
    test = AlignedTokens.from_data_dir(
        f"{args.data_dir}/{args.test_set}", WindowConfig(0.1, 1000.0), random_windows=False
    )
    places = {test.name(index): index for index in range(len(test))}
    chosen = {utt: test.streams(places[utt])[0] for utt in evenly_spaced(places, args.utterances)}
    np.savez(folder / "utterances.npz", **chosen)
    frames = round(LONG_SECONDS * test.frame_rate)
    np.savez(folder / "long.npz", semantic=np.resize(np.concatenate(list(chosen.values())), frames))
    return test


def make_sides(args: argparse.Namespace, folder: Path, training: TrainerConfig, info) -> list[Side]:
    """Processes with networks of random weights."""
    expdir = f"{args.expdir}/soundstorm"
    model = config_section(expdir, "model", SoundStormConfig)
    decoding = yaml.safe_load(Path(args.decode_config).read_text(encoding="utf-8")).get("decode", {})
    sizes = Sizes(
        width=model.width, layers=model.layers, heads=model.heads, inner=model.inner, kernel=model.kernel,
        levels=info.num_levels, codebook=info.codebook_size, frame_rate=round(info.frame_rate),
        semantic=read_config(expdir)["semantic"]["codebook_size"], sample_rate=info.sample_rate,
    )  # fmt: skip
    common = {
        "do": "build", "threads": args.threads, "folder": str(folder), "training": asdict(training),
        "seconds": args.seconds, "steps": args.steps, "precision": precision_on("cpu", training.precision),
    }  # fmt: skip
    plans = [(OURS, sys.executable, args.iterations, {
        "masks": "recipe", "soundstorm": expdir, "codec": f"{args.expdir}/codec",
        "decoding": asdict(ParallelConfig(**{**decoding, "iterations": tuple(decoding.get("iterations", (16, 1)))})),
    })]  # fmt: skip
    for masks in args.peer_masks if args.peer_python else ():
        peer = {"masks": masks, "style": args.peer_style, "sizes": asdict(sizes)}
        plans.append((PEER, args.peer_python, args.peer_iterations, peer))
    sides = []
    for side, python, iterations, what in plans:
        worker = Worker(python, args.threads, "learner.py")
        sides.append(Side(side if side == OURS else f"{side}, {MASKS[what['masks']]}", worker, iterations))
        sides[-1].trained = worker.ask(**common, side=side, name=f"{side}_{what['masks']}", **what)
    return sides


def train(sides: list[Side], slice_seconds: float) -> None:
    """In turns, to the end of each."""
    unfinished = sides
    while unfinished:
        for side in unfinished:
            side.trained |= side.worker.ask(do="train", seconds=slice_seconds)
            print(f"{side.name}: {side.trained}", file=sys.stderr)
        unfinished = [side for side in sides if side.trained["share"] < 1]


def read_aloud(rows: list[Row], args: argparse.Namespace, folder: Path) -> None:
    """Decode the test utterances, make them audible and have them read."""
    codec, data_dir = load_acoustic_tokenizer(f"{args.expdir}/codec"), f"{args.data_dir}/{args.test_set}"
    texts, jobs = read_table(Path(data_dir) / "text"), []
    for number, row in enumerate(rows):
        path, wavs = row.side.worker.ask(do="decode", iterations=row.iterations)["codes"], {}
        with np.load(path) as file:
            for utt in file.files:
                wav = codec.decode(torch.from_numpy(file[utt].astype(np.int64))[None])[0].float().numpy()
                wavs[utt] = str(folder / f"wav_{number}" / f"{utt}.wav")
                write_audio(wavs[utt], wav, codec.info.sample_rate)
        write_table(folder / f"wav_{number}.scp", wavs)
        write_table(folder / "text", {utt: texts[utt] for utt in wavs})
        output, text = str(folder / f"score_{number}.json"), str(folder / "text")
        jobs.append(ScoringJob(row.name, None, str(folder / f"wav_{number}.scp"), output, text))
    torch.set_num_threads(args.threads)
    score_files(
        jobs, recognizers=[args.recognizer], vocabulary_text=f"{args.data_dir}/{args.train_set}/text", speaker=None,
        consistency=None, sample_rate=codec.info.sample_rate, device="cpu",
        config=ScoreConfig(text_normalizer="english", language="en", quality_utterances=0),
    )  # fmt: skip
    for job, row in zip(jobs, rows, strict=True):
        for utt, scored in read_score(Path(job.output))["utterances"].items():
            words = len(scored["text"].split())
            row.errors[utt] = scored["wer"] * words, float(words)


def take_turns(rows: list[Row], repeats: int) -> None:
    """Time the long utterance, after a round that does not count."""
    for number in range(repeats + 1):
        for row in rows:
            seconds = row.side.worker.ask(do="time", iterations=row.iterations)["seconds"]
            if number:
                row.seconds.append(seconds)


def render(rows: list[Row]) -> str:
    """The table; every row beside the first of the peer, or of ours where there is no peer."""
    base = next((row for row in rows if row.side.name.startswith(PEER)), rows[0])
    body = []
    for row in rows:
        wer, gap = word_errors(row.errors), word_errors(row.errors, base.errors)
        ratio = statistics.median(theirs / mine for theirs, mine in zip(base.seconds, row.seconds, strict=True))
        body.append([
            row.name, str(row.side.trained["steps"]), f"{row.side.trained['seconds']:.0f}",
            f"{wer.value:.1f} [{wer.low:.1f}, {wer.high:.1f}]",
            "" if row is base else f"{gap.value:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]",
            f"{statistics.median(row.seconds):.3f}", f"{ratio:.2f}",
        ])  # fmt: skip
    header = ["network, iterations of level 1", "steps", "seconds of training", "WER %", "against " + base.name,
              "seconds for 30 s", "times faster"]  # fmt: skip
    return table(header, body)


def word_errors(errors: dict[str, tuple[float, float]], base: dict[str, tuple[float, float]] | None = None) -> Estimate:
    """Per cent of the words, or how much more than the base's, each utterance against itself."""
    tops = [top - (base[utt][0] if base else 0.0) for utt, (top, _) in errors.items()]
    return bootstrap(tops, [words for _, words in errors.values()])


def main() -> int:
    """Train, decode, read, write."""
    args = get_parser().parse_args()
    counts = [args.threads, args.repeats, args.batches, *args.iterations, *args.peer_iterations]
    if min(counts) < 1 or min(args.seconds, args.slice_seconds) <= 0 or (args.steps or 1) < 1:
        raise SystemExit("quality.py: numbers of threads, rounds, batches, iterations and seconds must be above 0")
    training = config_section(f"{args.expdir}/soundstorm", "training", TrainerConfig)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        test = write_inputs(args, folder, training)
        sides = make_sides(args, folder, training, test.acoustic_info)
        try:
            train(sides, args.slice_seconds)
            rows = [Row(side, count) for side in sides for count in side.iterations]
            take_turns(rows, args.repeats)
            read_aloud(rows, args, folder)
        finally:
            for side in sides:
                side.worker.close()
    command = shlex.join(["python", "tests/benchmarks/quality.py", *sys.argv[1:]])
    parameters = ", ".join(f"{side.name} {side.trained['parameters'] / 1e6:.2f}M" for side in sides)
    precision = PRECISIONS[precision_on("cpu", training.precision)]
    text = (
        f"`{command}` at commit {commit()}, {datetime.date.today().isoformat()}: {processor()}, {args.threads} "
        f"thread(s){'; ' + args.note if args.note else ''}. {len(rows[0].errors)} utterances of {args.test_set}, "
        f"read by `{args.recognizer}`; trained and decoded in {precision}. Parameters: {parameters}.\n\n{render(rows)}"
    )
    print(text)
    if args.output:
        write_text(args.output, text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        sys.exit(f"quality.py: {' '.join(str(error).split())}")
