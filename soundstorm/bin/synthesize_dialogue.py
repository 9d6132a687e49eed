"""Synthesize a script with two or more voices, prompted by short recordings (stage 6)."""

from soundstorm.bin.common import FrontParser, config_parser, refuse_overwriting, run_front, section
from soundstorm.bin.synthesize import SAMPLING
from soundstorm.data.errors import InputError


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = config_parser(__doc__, SAMPLING)
    parser.add_argument("--script", required=True, help="text file with lines 'A: ...', 'B: ...'")
    parser.add_argument(
        "--prompt", action="append", default=[], metavar="A=a.wav", help="recording of a voice"
    )
    parser.add_argument(
        "--prompt-text", action="append", default=[], metavar="A=words", help="words of that recording"
    )
    parser.add_argument(
        "--prompt-utterance", action="append", default=[], metavar="A=DIR/UTT",
        help="or: an utterance of a data directory, with its transcript",
    )  # fmt: skip
    parser.add_argument("--exchange", help="or: one recording of an exchange of all voices, in script order")
    parser.add_argument("--exchange-text", help="its words, with | where the speaker changes")
    parser.add_argument(
        "--exchange-utterance", metavar="DIR/UTT", help="or: an utterance of a data directory"
    )
    parser.add_argument("--acoustic-model", required=True, help="experiment directory of stage 4, or pack")
    parser.add_argument(
        "--text-to-semantic", required=True, help="experiment directory of stage 5, of either kind"
    )
    parser.add_argument(
        "--codec", required=True, help="experiment directory, or encodec:NAME, dac:NAME, mimi:NAME"
    )
    parser.add_argument("--kmeans", required=True, help="k-means directory of the semantic tokens")
    parser.add_argument(
        "--max-characters", type=int,
        help="of a segment; longer scripts have several (default: what slow speakers say in max_seconds, 300 at most)",
    )
    parser.add_argument(
        "--context-seconds", type=float, default=20.0, help="longest prompt of a further segment"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--output", required=True, help="directory to write dialogue.wav and prompt.wav to")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and synthesize the script."""
    args = get_parser().parse_args(argv)
    from soundstorm.decoding.acoustic_generator import load_generator, sampling_of
    from soundstorm.decoding.dialogue import (
        DialogueSynthesizer,
        Prompt,
        choose_prompts,
        read_prompt,
        write_dialogue,
    )
    from soundstorm.decoding.script import read_script
    from soundstorm.decoding.semantic_generator import load_semantic_generator, text_sampling_of
    from soundstorm.models.devices import choose_device
    from soundstorm.tokens.acoustic import load_acoustic_tokenizer
    from soundstorm.tokens.semantic import SemanticTokenizer

    device = choose_device(args.device)
    turns = read_script(args.script)
    exchange = Prompt(args.exchange, args.exchange_text) if args.exchange else None
    if args.exchange_utterance:
        if exchange:
            raise InputError("give --exchange or --exchange-utterance, not both")
        exchange = read_prompt(args.exchange_utterance)
    prompts = choose_prompts(turns, args.prompt, args.prompt_text, args.prompt_utterance, exchange)
    outputs = [f"{args.output}/{name}.wav" for name in ("dialogue", "prompt")]
    refuse_overwriting(outputs, {"--prompt/--exchange": [prompt.path for prompt in prompts]})
    codec = load_acoustic_tokenizer(args.codec, device)
    kind, generator = load_generator(args.acoustic_model, codec, device)
    text_kind, reader = load_semantic_generator(args.text_to_semantic, device)
    synthesizer = DialogueSynthesizer(
        reader,
        generator,
        codec,
        SemanticTokenizer.load(args.kmeans, device=device),
    )
    samplings = {name: section(args, name, cls) for name, cls in SAMPLING.items()}
    for name in ("max_characters", "context_seconds"):
        if getattr(args, name) is not None and getattr(args, name) <= 0:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(args, name)}, expected more than 0")
    write_dialogue(
        synthesizer,
        turns,
        prompts,
        args.output,
        sampling_of(kind, samplings),
        text_sampling_of(text_kind, samplings),
        seed=samplings["decode"].seed,
        max_characters=args.max_characters,
        context_seconds=args.context_seconds,
    )


if __name__ == "__main__":
    run_front(main)
