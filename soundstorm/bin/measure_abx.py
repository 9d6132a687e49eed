"""ABX error of features and tokens, within and across speakers, from the phone times of a data directory."""

from __future__ import annotations

from dataclasses import asdict

from soundstorm.bin.common import command_line, config_parser, run_front, section
from soundstorm.data.errors import InputError
from soundstorm.scoring.abx_config import AbxConfig


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {"abx": AbxConfig})
    parser.add_argument("--data-dir", required=True, help="data directory with phones.ctm")
    add = {"action": "append", "default": []}
    parser.add_argument(
        "--features", **add, help="<as train_kmeans has it>@<layer>, or mfcc; repeatable"
    )
    parser.add_argument(
        "--kmeans", **add, help="k-means directory: its features, tokens, centroids; repeatable"
    )
    parser.add_argument("--acoustic", **add, help="acoustic tokens, an scp; repeatable")
    parser.add_argument(
        "--codec", help="codec's experiment directory: acoustic tokens as vectors of its codebooks too"
    )
    parser.add_argument("--device", default="auto", help="for a model: cpu, cuda or auto")
    parser.add_argument("--output", help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write JSON."""
    args = get_parser().parse_args(argv)
    config = section(args, "abx", AbxConfig)
    if not (args.features or args.kmeans or args.acoustic):
        raise InputError("nothing to measure; give --features, --kmeans or --acoustic")

    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.abx_sources import abx_of_sources
    from soundstorm.scoring.extras import publish_extra

    device = choose_device(args.device)
    results = abx_of_sources(
        args.data_dir,
        config,
        features=args.features,
        kmeans=args.kmeans,
        acoustic=args.acoustic,
        codec=args.codec,
        device=device,
    )
    content = {
        "data_dir": args.data_dir,
        "results": {name: asdict(result) for name, result in results.items()},
    }
    publish_extra("abx", content, args.output, command=command_line(argv), device=device)


if __name__ == "__main__":
    run_front(main)
