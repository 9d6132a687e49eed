"""Key, tempo, notes and Fréchet distance of continuations of music, beside the true ones and beside other pieces."""

from __future__ import annotations

from soundstorm.bin.common import command_line, config_parser, run_front


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, {})
    parser.add_argument("--data-dir", required=True, help="test set; utt2spk says which work a piece is of")
    parser.add_argument("--decode-dirs", nargs="+", required=True, help="outputs of synthesize")
    parser.add_argument("--prompt-seconds", type=float, required=True, help="length of the beginnings")
    parser.add_argument("--window-seconds", type=float, default=4.0, help="windows of the key consistency")
    parser.add_argument("--features", help="encoder of the Fréchet distance, as train_kmeans has it (default: none)")
    parser.add_argument("--layer", type=int, help="its layer")
    parser.add_argument("--reference", help="data directory of the recordings that the distance is measured from")
    parser.add_argument("--device", default="auto", help="for the encoder: cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write JSON."""
    args = get_parser().parse_args(argv)
    from soundstorm.data.errors import InputError

    for name in ("prompt_seconds", "window_seconds"):
        if not 0 < getattr(args, name) < float("inf"):
            raise InputError(f"--{name.replace('_', '-')} is {getattr(args, name)}, expected more than 0")
    if args.features and not args.reference:
        raise InputError("--features needs --reference, the recordings that the Fréchet distance is measured from")

    import logging
    from pathlib import Path

    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.extras import publish_extra
    from soundstorm.scoring.music_systems import MusicMeasurement, MusicTask, reference_wavs
    from soundstorm.scoring.transcription import INSTALL, Transcriber, has_transcriber
    from soundstorm.tokens.features import open_features

    task, features, device = MusicTask(args.data_dir, args.prompt_seconds, args.window_seconds), None, "cpu"
    if args.features:
        device = choose_device(args.device)
        encoder = open_features(args.features, args.layer, device=device)
        features = encoder, reference_wavs(args.reference, task.sample_rate)
    transcriber = Transcriber() if has_transcriber() else None
    if transcriber is None:
        logging.getLogger(__name__).warning("notes are not compared: no transcriber is installed; %s", INSTALL)
    measurement = MusicMeasurement(task, transcriber, features)
    layer = "" if args.layer is None else f" layer {args.layer}"
    content = {
        "data_dir": args.data_dir,
        "prompt_seconds": args.prompt_seconds,
        "window_seconds": args.window_seconds,
        "transcriber": transcriber.name if transcriber else None,
        "encoder": f"`{args.features}`{layer}" if args.features else None,
        "reference": f"`{Path(args.reference).name}`" if args.reference else None,
        "rows": measurement.rows(args.decode_dirs),
        "rolls": measurement.rolls(args.decode_dirs),
    }
    publish_extra("music", content, args.output, command=command_line(argv), device=device)


if __name__ == "__main__":
    run_front(main)
