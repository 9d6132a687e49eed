"""Join score files: JSON, RESULTS.md in the layout of the paper's Table 1, figures, a page to listen to."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.scoring.report_config import ReportConfig


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {"report": ReportConfig})
    parser.add_argument(
        "--scores", nargs="+", required=True, help="files that score wrote, in the order of the rows"
    )
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--results", help="where a copy of RESULTS.md goes")
    parser.add_argument("--timing", help="the engine's timing.tsv: wall time per stage")
    parser.add_argument("--running", help="<stage>=<seconds>: the calling stage and its time so far")
    parser.add_argument("--tokens", help="acoustic.scp whose codebook usage is shown")
    parser.add_argument(
        "--extras",
        nargs="*",
        default=[],
        help="files of measure_abx, _music, _pairs, _runtime, _iterations and detect; each becomes a section",
    )
    parser.add_argument("--dialogue", help="directory of synthesize_dialogue, for the listening page")
    parser.add_argument("--command", default="./run.sh", help="command that made the results, for the record")
    parser.add_argument("--sample-rate", type=int, default=16000, help="Hz of the recordings")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Write the report, unless nothing has changed since the last one."""
    args = get_parser().parse_args(argv)
    config = section(args, "report", ReportConfig)

    from pathlib import Path

    from soundstorm.scoring.publish import publish
    from soundstorm.scoring.report_content import parse_running

    publish(
        [Path(path) for path in args.scores],
        Path(args.output),
        config=config,
        command=args.command,
        timing=Path(args.timing) if args.timing else None,
        running=parse_running(args.running),
        extras=[Path(path) for path in args.extras],
        tokens=Path(args.tokens) if args.tokens else None,
        dialogue=Path(args.dialogue) if args.dialogue else None,
        results=Path(args.results) if args.results else None,
        sample_rate=args.sample_rate,
    )


if __name__ == "__main__":
    run_front(main)
