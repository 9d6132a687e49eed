"""Synthesise the utterances of a data directory from its codes, semantic tokens, text or beginning (stage 6)."""

from soundstorm.bin.common import (
    FrontParser,
    add_prompt_encoding,
    config_parser,
    refuse_among_recordings,
    run_front,
    section,
)
from soundstorm.decoding.acoustic_generator import sampling_sections
from soundstorm.decoding.semantic_generator import text_sampling_sections

SAMPLING = {**text_sampling_sections(), **sampling_sections()}


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, SAMPLING)
    parser.add_argument(
        "--data-dir", required=True, help="data directory with acoustic.scp, semantic.scp or text, or utt2dur and text"
    )
    parser.add_argument("--keys", help="file whose first column names the utterances; all by default")
    parser.add_argument(
        "--from", dest="source", default="semantic", help="codec (round trip), semantic, text or continuation"
    )
    parser.add_argument(
        "--codec",
        help="experiment directory, or encodec:NAME, dac:NAME, mimi:NAME; a model that reads text itself needs none, "
        "and speaks the utterances of acoustic.scp with it, all without",
    )
    parser.add_argument(
        "--acoustic-model", help="what makes acoustic tokens: experiment directory of stage 4, or pack"
    )
    parser.add_argument("--variant", default="", help="what its training is called in tables, among others of its kind")
    parser.add_argument("--text-to-semantic", help="experiment directory of stage 5, of either kind")
    parser.add_argument(
        "--as-recorded", action="store_true",
        help="speech from text as long as each recording, for dubbing (of kind masked)",
    )  # fmt: skip
    parser.add_argument(
        "--continuation", help="that of train_audiolm --stage semantic, whose tokens then continue the prompt's"
    )
    parser.add_argument(
        "--prompt-seconds", type=float, default=0.0, help="true beginning of each utterance; 0: none"
    )
    add_prompt_encoding(parser)
    parser.add_argument("--share", help="only this share of the utterances, e.g. 2/5; --merge 5 joins all")
    parser.add_argument("--merge", type=int, help="decode nothing, join so many shares")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="directory to write wav.scp, wav/ and tokens to")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and decode."""
    args = get_parser().parse_args(argv)
    refuse_among_recordings(args.output, args.data_dir)
    from soundstorm.data.share import Share
    from soundstorm.decoding.decode_data_dir import decode_data_dir
    from soundstorm.decoding.decoding_system import System
    from soundstorm.decoding.merge_decodings import merge_decodings
    from soundstorm.models.devices import choose_device

    if args.merge:
        merge_decodings(args.output, args.merge)
        return
    system = System(
        source=args.source,
        codec=args.codec,
        acoustic_model=args.acoustic_model,
        variant=args.variant,
        text_to_semantic=args.text_to_semantic,
        continuation=args.continuation,
        prompt_seconds=args.prompt_seconds,
        prompt_encoding=args.prompt_encoding,
        kmeans=args.kmeans,
        as_recorded=args.as_recorded,
        samplings={name: section(args, name, cls) for name, cls in SAMPLING.items()},
    )
    reranker = _reranker() if system.samples > 1 else None
    device = choose_device(args.device)
    decode_data_dir(
        args.data_dir,
        args.output,
        system,
        keys=args.keys,
        share=Share.parse(args.share) if args.share else None,
        device=device,
        reranker=reranker,
        load_speaker_model=_speaker_model,
    )


def _reranker():
    """DNSMOS; passed in because decoding does not import scoring."""
    from soundstorm.scoring.audio_quality import Dnsmos

    return Dnsmos().overall


def _speaker_model(name: str):
    """Of prompts, for systems without tokens; passed in as the reranker is."""
    from soundstorm.scoring.voice_preservation import load_speaker_model

    return load_speaker_model(name)


if __name__ == "__main__":
    run_front(main)
