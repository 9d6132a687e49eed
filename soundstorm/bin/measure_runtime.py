"""Run time against length of audio: codec, acoustic models, text model; batch 1, warm, median (Figure 3)."""

from __future__ import annotations

from soundstorm.bin.common import command_line, config_parser, run_front, section
from soundstorm.bin.synthesize import SAMPLING


def get_parser():
    """Options of the command; the sections are those of synthesize, to use a recipe's decode.yaml."""
    parser = config_parser(__doc__, SAMPLING)
    parser.add_argument("--data-dir", required=True, help="set whose semantic tokens and texts are the input")
    parser.add_argument(
        "--codec", required=True, help="experiment directory, or encodec:NAME, dac:NAME, mimi:NAME"
    )
    parser.add_argument(
        "--acoustic-model", required=True, action="append", dest="acoustic_models",
        help="experiment directory of stage 4, or pack; repeatable, others are compared with the first",
    )  # fmt: skip
    parser.add_argument(
        "--text-to-semantic", action="append", default=[], help="experiment directory of stage 5; repeatable"
    )
    parser.add_argument(
        "--lengths", nargs="+", type=float, default=[5, 10, 15, 20, 25, 30], help="seconds of audio"
    )
    parser.add_argument(
        "--repeats", type=int, default=20, help="timed runs of each length, after one to warm up"
    )
    parser.add_argument("--most-seconds", type=float, help="start no further run of a length after so long")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="JSON file to write; the figure goes beside it")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write JSON and figure."""
    args = get_parser().parse_args(argv)
    samplings = {name: section(args, name, cls) for name, cls in SAMPLING.items()}

    import torch

    from soundstorm.decoding.stopwatch import wait_for_device
    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.extras import publish_extra
    from soundstorm.timing.curves import measure_curves
    from soundstorm.timing.parts import timed_parts

    device = choose_device(args.device)
    parts, generators = timed_parts(
        args.data_dir,
        codec=args.codec,
        acoustic_models=args.acoustic_models,
        text_to_semantic=args.text_to_semantic,
        samplings=samplings,
        device=device,
    )
    curves = measure_curves(
        parts, args.lengths, repeats=args.repeats, most_seconds=args.most_seconds, wait=wait_for_device
    )
    content = {
        "points": curves,
        "acoustic_models": generators,
        "threads": torch.get_num_threads(),
        "device": device,
    }
    publish_extra("runtime", content, args.output, command=command_line(argv), device=device)


if __name__ == "__main__":
    run_front(main)
