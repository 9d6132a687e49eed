"""Speech continuation by AudioLM's three stages, prompted by beginnings of utterances, or unprompted."""

from soundstorm.bin.common import (
    FrontParser,
    add_prompt_encoding,
    config_parser,
    refuse_among_recordings,
    run_front,
    section,
)
from soundstorm.data.errors import InputError
from soundstorm.decoding.audiolm_kind import AudioLMSamplingConfig


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, {"audiolm": AudioLMSamplingConfig})
    parser.add_argument("--semantic", required=True, help="experiment of train_audiolm --stage semantic")
    parser.add_argument("--coarse", required=True, help="that of --stage coarse, with data.deduplicate true")
    parser.add_argument("--fine", required=True, help="that of --stage fine")
    parser.add_argument(
        "--codec", required=True, help="experiment directory, or encodec:NAME, dac:NAME, mimi:NAME"
    )
    parser.add_argument("--data-dir", help="semantic.scp and acoustic.scp of the utterances that are prompts")
    parser.add_argument("--keys", help="file whose first column names the utterances; all by default")
    parser.add_argument("--prompt-seconds", type=float, default=3.0, help="length of each prompt")
    add_prompt_encoding(parser)
    parser.add_argument("--count", type=int, default=0, help="instead of prompts: unprompted utterances")
    parser.add_argument("--max-seconds", type=float, default=10.0, help="longest result, prompt included")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling, apart for each utterance")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="directory to write wav.scp, wav/ and tokens to")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and generate."""
    args = get_parser().parse_args(argv)
    refuse_among_recordings(args.output, args.data_dir)
    if (args.data_dir is None) == (args.count < 1):
        raise InputError("give one of --data-dir, whose utterances are continued, and --count, 1 or more")
    if args.data_dir and not 0 < args.prompt_seconds < float("inf"):
        raise InputError(f"--prompt-seconds is {args.prompt_seconds}, expected more than 0")

    from soundstorm.decoding.audiolm_continuation import generate_audiolm
    from soundstorm.models.devices import choose_device

    generate_audiolm(
        [args.semantic, args.coarse, args.fine],
        args.codec,
        args.output,
        section(args, "audiolm", AudioLMSamplingConfig),
        data_dir=args.data_dir,
        prompt_seconds=args.prompt_seconds,
        prompt_encoding=args.prompt_encoding,
        kmeans=args.kmeans,
        keys=args.keys,
        count=args.count,
        max_seconds=args.max_seconds,
        seed=args.seed,
        device=choose_device(args.device),
    )


if __name__ == "__main__":
    run_front(main)
