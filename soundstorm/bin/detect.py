"""Train a classifier to tell a system's speech from the codec's round trip, and test it on other texts."""

from __future__ import annotations

from soundstorm.bin.common import command_line, config_parser, run_front, section
from soundstorm.models.detector_config import DetectorConfig, SplitConfig
from soundstorm.training.training_config import TrainerConfig

SECTIONS = {"model": DetectorConfig, "split": SplitConfig, "training": TrainerConfig}


def get_parser():
    """Options of the command."""
    parser = config_parser(__doc__, SECTIONS)
    parser.add_argument("--data-dir", nargs="+", required=True, help="test sets, for their texts")
    parser.add_argument(
        "--real", nargs="+", required=True, help="decode directory of each one's codec round trip"
    )
    parser.add_argument(
        "--generated", nargs="+", required=True, help="decode directory of each by the system"
    )
    parser.add_argument("--system", help="name of the row (default: that of the system that was decoded)")
    parser.add_argument("--expdir", required=True, help="where the classifier is trained")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="JSON file to write")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Train, test, write JSON."""
    args = get_parser().parse_args(argv)
    settings = {name: section(args, name, cls) for name, cls in SECTIONS.items()}

    import sys
    from pathlib import Path

    from soundstorm.data.log_mel import SAMPLE_RATE
    from soundstorm.models.devices import choose_device
    from soundstorm.scoring.detection import DetectionPairs, measure_detection, split_by_text
    from soundstorm.scoring.extras import publish_extra
    from soundstorm.scoring.system import read_decode_info
    from soundstorm.training.detector_training import train_detector

    device, model, split = choose_device(args.device), settings["model"], settings["split"]
    pairs = DetectionPairs(args.data_dir, args.real, args.generated, SAMPLE_RATE)
    chosen, held_out = split_by_text(pairs.texts, split.train_share, split.seed)
    real, generated = pairs.read_all(chosen)
    # Time of decoding: a detector trained on an earlier decoding is trained again.
    decoded = {name: (Path(name) / "wav.scp").stat().st_mtime_ns for name in (*args.real, *args.generated)}
    data = {"train_utterances": [f"{number}/{utt}" for number, utt in chosen], "decoded": decoded}
    config = {"model": model, "training": settings["training"], "data": data}
    detect = train_detector(real, generated, expdir=args.expdir, config=config, command=sys.argv, device=device)
    content = measure_detection(
        args.system or read_decode_info(Path(args.generated[0])).require_title(),
        pairs,
        detect,
        held_out,
        trained_on=(real, generated),
        crop_seconds=model.crop_seconds,
        seed=split.seed,
    )
    publish_extra("detector", content, args.output, command=command_line(argv), device=device)


if __name__ == "__main__":
    run_front(main)
