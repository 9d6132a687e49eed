"""Make an experiment directory of links into a pack, so that results of its models can be written there."""

from soundstorm.bin.common import FrontParser, run_front
from soundstorm.data.pack import link_part


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = FrontParser(prog="link_pack", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--pack", required=True, help="output of utils/pack_model.sh, or its name in the hub's cache"
    )
    parser.add_argument("--part", required=True, help="which of its models, e.g. codec")
    parser.add_argument("--expdir", required=True, help="experiment directory to make")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and link."""
    args = get_parser().parse_args(argv)
    link_part(args.pack, args.part, args.expdir)


if __name__ == "__main__":
    run_front(main)
