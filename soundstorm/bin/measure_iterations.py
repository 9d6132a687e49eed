"""Word errors and quality over iterations of the first RVQ level, from true semantic tokens (Figure 4)."""

from __future__ import annotations

from soundstorm.bin.common import add_prompt_encoding, command_line, config_parser, run_front, section
from soundstorm.bin.synthesize import SAMPLING
from soundstorm.data.errors import InputError


def get_parser():
    """Options of the command; the sections are those of synthesize, to use a recipe's decode.yaml."""
    parser = config_parser(__doc__, SAMPLING)
    parser.add_argument("--data-dir", required=True, help="test set with semantic.scp, acoustic.scp and text")
    parser.add_argument(
        "--codec", required=True, help="experiment directory, or encodec:NAME, dac:NAME, mimi:NAME"
    )
    parser.add_argument(
        "--acoustic-model", required=True, help="of a kind that has decode.iterations, or a pack"
    )
    parser.add_argument(
        "--prompt-seconds", type=float, default=0.0, help="true beginning of each utterance (the paper's: 3); 0: none"
    )
    add_prompt_encoding(parser)
    parser.add_argument(
        "--iterations", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32], help="of the first level"
    )
    parser.add_argument("--utterances", type=int, help="so many of them, evenly over the ids; all by default")
    parser.add_argument(
        "--quality-utterances", type=int, default=10, help="DNSMOS on so many of those; 0: none"
    )
    parser.add_argument("--recognizer", required=True, help="as of score")
    parser.add_argument("--vocabulary-text", help="as of score")
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz of the recordings")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--folder", required=True, help="where decoded speech and scores go")
    parser.add_argument("--output", required=True, help="JSON file to write; the figure goes beside it")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Decode and score with each number of iterations, print a table, write JSON and figure."""
    args = get_parser().parse_args(argv)
    samplings = {name: section(args, name, cls) for name, cls in SAMPLING.items()}
    if min(args.iterations) < 1:
        raise InputError(f"--iterations are {args.iterations}, expected numbers, each at least 1")

    from dataclasses import replace
    from pathlib import Path

    from soundstorm.data.archive import TokenArchive
    from soundstorm.data.audio import Utterances
    from soundstorm.data.data_dir import write_table
    from soundstorm.decoding.decode_data_dir import decode_data_dir
    from soundstorm.decoding.decoding_system import System
    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.extras import publish_extra
    from soundstorm.scoring.iterations import score_iterations
    from soundstorm.scoring.measures import evenly_spaced
    from soundstorm.scoring.scoring_config import ScoreConfig

    device, folder = choose_device(args.device), Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    keys, tokens = folder / "keys", TokenArchive(Path(args.data_dir) / "acoustic.scp")
    chosen = evenly_spaced(Utterances(args.data_dir, args.sample_rate, lower=True).ids, args.utterances)
    write_table(keys, {utt: "" for utt in chosen if utt in tokens})

    decode_dirs = {count: folder / f"decode_{count}" for count in sorted(set(args.iterations))}
    for count, output in decode_dirs.items():
        system = System(
            source="semantic",
            codec=args.codec,
            acoustic_model=args.acoustic_model,
            prompt_seconds=args.prompt_seconds,
            prompt_encoding=args.prompt_encoding,
            kmeans=args.kmeans,
            samplings={**samplings, "decode": replace(samplings["decode"], iterations=(count, 1), best_of=1)},
        )
        decode_data_dir(args.data_dir, output, system, keys=str(keys), device=device)
    points = score_iterations(
        decode_dirs,
        args.data_dir,
        recognizers=[args.recognizer],
        vocabulary_text=args.vocabulary_text,
        speaker=None,
        consistency=None,
        sample_rate=args.sample_rate,
        device=device,
        config=ScoreConfig(max_utterances=args.utterances, quality_utterances=args.quality_utterances),
    )
    content = {
        "data_dir": args.data_dir,
        "prompt_seconds": args.prompt_seconds,
        "recognizer": args.recognizer,
        "points": points,
    }
    publish_extra("iterations", content, args.output, command=command_line(argv), device=device)


if __name__ == "__main__":
    run_front(main)
