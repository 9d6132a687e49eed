"""Back-translate semantic tokens without text, for a data directory with the true pairs (SPEAR-TTS)."""

from __future__ import annotations

from soundstorm.bin.common import config_parser, run_front, section
from soundstorm.models.semantic_to_text_config import TranscriptionConfig


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {"transcribe": TranscriptionConfig})
    parser.add_argument(
        "--data-dir", required=True, help="data directory with semantic.scp; its text is ignored"
    )
    parser.add_argument(
        "--transcribed", required=True, help="data directory with text and semantic.scp, copied"
    )
    parser.add_argument(
        "--semantic-to-text", required=True, help="experiment directory of train_semantic_to_text"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="data directory to write, for train_text_to_semantic")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Transcribe, unless the output is there."""
    args = get_parser().parse_args(argv)
    config = section(args, "transcribe", TranscriptionConfig)

    import logging
    from pathlib import Path

    from soundstorm.decoding.back_translation import back_translate
    from soundstorm.models.devices import choose_device

    if (Path(args.output) / "semantic.scp").exists():
        logging.getLogger(__name__).info("%s: there already; nothing to do", args.output)
        return
    back_translate(
        args.data_dir,
        args.transcribed,
        args.output,
        expdir=args.semantic_to_text,
        config=config,
        device=choose_device(args.device),
    )


if __name__ == "__main__":
    run_front(main)
