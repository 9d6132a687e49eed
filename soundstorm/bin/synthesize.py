"""Synthesise the utterances of a data directory from its codes, its semantic tokens or its text (stage 6)."""

from soundstorm.bin.common import FrontParser, config_parser, run_front, section
from soundstorm.decoding.config import AudioLMSamplingConfig, ParallelConfig, TextSamplingConfig

SECTIONS = {"decode": ParallelConfig, "text": TextSamplingConfig, "audiolm": AudioLMSamplingConfig}


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--data-dir", required=True, help="data directory with acoustic.scp, semantic.scp or text")
    parser.add_argument("--keys", help="file whose first column names the utterances; all by default")
    parser.add_argument("--from", dest="source", default="semantic", help="codec (round trip), semantic or text")
    parser.add_argument("--codec", required=True, help="experiment directory, or encodec:NAME, dac:NAME, mimi:NAME")
    parser.add_argument("--soundstorm", help="experiment directory of train_soundstorm")
    parser.add_argument(
        "--audiolm", nargs=2, metavar=("COARSE", "FINE"), help="instead: experiment directories of train_audiolm"
    )
    parser.add_argument("--text-to-semantic", help="experiment directory of train_text_to_semantic")
    parser.add_argument("--prompt-seconds", type=float, default=0.0, help="true beginning of each utterance; 0: none")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="directory to write wav.scp, wav/ and tokens to")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and decode."""
    args = get_parser().parse_args(argv)
    from soundstorm.decoding.decode_data_dir import System, decode_data_dir
    from soundstorm.decoding.devices import choose_device

    system = System(
        source=args.source,
        codec=args.codec,
        soundstorm=args.soundstorm,
        audiolm=tuple(args.audiolm) if args.audiolm else None,
        text_to_semantic=args.text_to_semantic,
        prompt_seconds=args.prompt_seconds,
        parallel=section(args, "decode", ParallelConfig),
        text=section(args, "text", TextSamplingConfig),
        audiolm_sampling=section(args, "audiolm", AudioLMSamplingConfig),
    )
    judge = _judge() if system.parallel.best_of > 1 and system.source != "codec" else None
    decode_data_dir(args.data_dir, args.output, system, keys=args.keys, device=choose_device(args.device), judge=judge)


def _judge():
    """decoding knows no scores, so the front brings the one that chooses among samples."""
    from soundstorm.scoring.audio_quality import Dnsmos

    return Dnsmos().overall


if __name__ == "__main__":
    run_front(main)
