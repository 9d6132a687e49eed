"""Losses and accuracies of trainings at 10, 25, 50 and 100 % of their steps, for the report (stage 7)."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, command_line, config_parser, run_front
from soundstorm.data.errors import InputError


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument(
        "--expdirs", nargs="+", required=True, help="experiment directories; unfinished ones are left out"
    )
    parser.add_argument(
        "--normal-losses", help="file for --training.normal-losses, written where there is none yet"
    )
    parser.add_argument("--output", required=True, help="JSON file to write, an extra of report")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Read what trainings wrote, print a table, write JSON."""
    args = get_parser().parse_args(argv)

    import os
    from pathlib import Path

    from soundstorm.scoring.extras import publish_extra
    from soundstorm.training.normal_losses import read_training, write_normal

    folders = [Path(folder).absolute() for folder in args.expdirs]
    root = os.path.commonpath([folder.parent for folder in folders])
    found = [read_training(folder, os.path.relpath(folder, root)) for folder in folders]
    trainings = [training for training in found if training]
    if not trainings:
        raise InputError(f"{', '.join(args.expdirs)}: no finished training with metrics.jsonl; train first")
    if args.normal_losses and not Path(args.normal_losses).exists():
        write_normal(args.normal_losses, trainings)
    publish_extra("trainings", {"trainings": trainings}, args.output, command=command_line(argv))


if __name__ == "__main__":
    run_front(main)
