"""Say words in a voice: with the models of a pack, one text, a script of several voices, or a list of texts."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, refuse_overwriting, run_front
from soundstorm.data.errors import InputError

CONSENT = "SOUNDSTORM_CONSENT"


def pack_parser(description: str) -> FrontParser:
    """Options of commands that speak with a pack, see :func:`load_speaker`."""
    parser = FrontParser(description=description, allow_abbrev=False)
    parser.add_argument("--model", required=True, help="pack: directory made by utils/pack_model.sh, or hub name")
    parser.add_argument("--revision", help="commit, tag or branch of a pack on the hub")
    parser.add_argument("--download", action="store_true", help="get the pack from the hub if it is not here")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument(
        "--numbers", metavar="LANGUAGE",
        help="say numbers, currencies and dates in words of this language, e.g. en; needs: pip install wetext",
    )  # fmt: skip
    return parser


def load_speaker(args):
    """The models that the options of :func:`pack_parser` choose."""
    from soundstorm.decoding.speech_generator import SpeechGenerator

    options = {name: getattr(args, name) for name in ("device", "revision", "download", "numbers")}
    return SpeechGenerator.from_pretrained(args.model, **options)


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = pack_parser(__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="what to say")
    what.add_argument("--text-file", help="or: a file with it")
    what.add_argument("--script", help="or: a file with lines 'A: words', 'B: words'")
    what.add_argument(
        "--list", dest="jobs", metavar="LIST.jsonl",
        help="or: lines with id, text and perhaps prompt, prompt_text, seconds, "
        "e.g. {\"id\": \"a\", \"text\": \"hello\"}",
    )  # fmt: skip
    what.add_argument("--convert", metavar="SPEECH", help="or: a recording, to be said in the prompt's voice")
    what.add_argument(
        "--continue", dest="continued", metavar="SPEECH",
        help="or: a recording, to be gone on with in its own voice, where the pack has AudioLM's first stage",
    )  # fmt: skip
    parser.add_argument(
        "--prompt", action="append", default=[], metavar="[A=]me.wav",
        help="a few seconds of the voice, as audio or saved by SpeechGenerator; in a script A=... for every voice",
    )  # fmt: skip
    parser.add_argument("--prompt-text", action="append", default=[], metavar="[A=]words", help="what it says")
    parser.add_argument("--seed", type=int, default=0, help="other numbers say it in other ways (default: 0)")
    parser.add_argument("--iterations", type=int, nargs="+", metavar="N", help="of each RVQ level; else the pack's")
    parser.add_argument("--temperature", type=float, help="of the acoustic tokens; the pack's by default")
    parser.add_argument(
        "--speed", type=float, help="1.2: a fifth faster; of packs whose text-to-semantic model is a parallel one"
    )
    parser.add_argument(
        "--seconds", type=float,
        help="how long one text is to be, as in dubbing, of such packs; or that --continue adds (default: 10)",
    )  # fmt: skip
    parser.add_argument(
        "--consent", action="store_true",
        help=f"the prompt's owner agrees to speech in this voice; or {CONSENT}=yes in the environment",
    )  # fmt: skip
    parser.add_argument("--output", required=True, help="file to write (.wav, .flac, .ogg); of a list: a directory")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and speak."""
    args = get_parser().parse_args(argv)
    jobs = _read_jobs(args)
    if any(job["prompts"] or job["continued"] for job in jobs) and not args.consent:
        _ask_for_consent()

    import logging
    import time
    from pathlib import Path

    from tqdm import tqdm

    started = time.perf_counter()
    speaker = load_speaker(args)
    loaded = time.perf_counter()
    wanted = {"iterations": args.iterations and tuple(args.iterations), "temperature": args.temperature}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    speaker = speaker.with_sampling(**wanted)
    if args.speed is not None:
        speaker = speaker.with_text_sampling(speed=args.speed)
    first, seconds, failed = None, 0.0, 0
    left = [job for job in jobs if not (args.jobs and Path(job["output"]).is_file())]
    if len(left) < len(jobs):
        logging.info("%d of %d texts were said before", len(jobs) - len(left), len(jobs))
    for job in tqdm(left, unit="text", disable=len(left) < 2):
        try:
            speech = _say(speaker, job, args)
        except (InputError, FileNotFoundError) as error:
            if not args.jobs:
                raise
            logging.error("%s is left out: %s", job["output"], error)
            failed += 1
            continue
        speech.save(job["output"])
        first = first or time.perf_counter()
        seconds += speech.duration
        if speech.text is not None:
            logging.info("%s: %.1f s, said: %s", job["output"], speech.duration, speech.text.replace("\n", " / "))
    if first:
        taken = time.perf_counter() - loaded
        logging.info(
            "models loaded in %.1f s, first audio %.1f s after; %.1f s of speech in %.1f s, real-time factor %.2f",
            loaded - started, first - loaded, seconds, taken, taken / seconds,
        )  # fmt: skip
    if failed:
        raise InputError(f"{failed} of {len(left)} texts were not said; mend what the messages above name")


def _say(speaker, job: dict, args):
    if job["continued"]:
        seconds = 10.0 if args.seconds is None else args.seconds
        return speaker.continue_(job["continued"], seconds=seconds, seed=args.seed)
    if job["convert"]:
        return speaker.convert(job["convert"], prompt=job["prompts"].get("A"), seed=args.seed)
    given = {name: job[name] for name in ("prompts", "prompt_texts", "seconds")}
    return speaker.dialogue(job["script"], **given, seed=args.seed)


def _read_jobs(args) -> list[dict]:
    """What is to be said, each as it is given on; ``script``, ``convert`` and ``continued`` say what it is of."""
    from soundstorm.decoding.script import read_script_text

    if args.jobs is not None:
        return _read_list(args)
    named = args.script is not None
    prompts, texts = _by_voice(args.prompt, "--prompt", named), _by_voice(args.prompt_text, "--prompt-text", named)
    if args.continued is not None and (prompts or texts or args.speed is not None):
        raise InputError(
            "--continue goes on in the recording's own voice and speed; leave --prompt, --prompt-text and --speed out"
        )
    if args.convert is not None and (texts or args.seconds is not None or args.speed is not None):
        raise InputError("--convert keeps the recording's timing; leave --prompt-text, --seconds and --speed out")
    if args.convert is not None or args.continued is not None:
        script: object = None
    elif named:
        script = [(turn.voice, turn.text) for turn in read_script_text(_content(args.script), args.script)]
    else:
        script = [("A", args.text if args.text is not None else _content(args.text_file))]
    job = {"script": script, "prompts": prompts, "prompt_texts": texts, "seconds": args.seconds, "output": args.output}
    return [{**job, "convert": args.convert, "continued": args.continued}]


def _read_list(args) -> list[dict]:
    """The same of ``--list``, a WAV file in the output directory for each line."""
    import json
    from pathlib import Path

    if args.prompt_text or args.seconds is not None or len(args.prompt) > 1:
        raise InputError(
            "of a list, --prompt may name one voice for all; other prompts, and seconds, stand in the list"
        )
    jobs: dict[str, dict] = {}
    common = _by_voice(args.prompt, "--prompt", False)
    for number, line in enumerate(_content(args.jobs).split("\n"), start=1):  # JSON may have other line ends
        if not line.strip():
            continue
        where = f"{args.jobs}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error}); expected an object with id and text") from error
        known = {"id": str, "text": str, "prompt": str, "prompt_text": str, "seconds": (int, float)}
        right = isinstance(values, dict) and {"id", "text"} <= set(values) <= set(known)
        if not right or not all(isinstance(value, known[field]) for field, value in values.items()):
            raise InputError(
                f"{where}: expected words for id and text, perhaps prompt and prompt_text, and a number of seconds; "
                f"got {line:.80}"
            )
        name = values["id"]
        if not name or name in (".", "..") or "/" in name or "\0" in name or name in jobs:
            raise InputError(f"{where}: id is {name!r:.60}, expected a file's name that no other line has")
        jobs[name] = {
            "script": [("A", values["text"])],
            "prompts": {"A": values["prompt"]} if "prompt" in values else common,
            "prompt_texts": {"A": values["prompt_text"]} if "prompt_text" in values else {},
            "seconds": values.get("seconds"),
            "output": str(Path(args.output) / f"{name}.wav"),
            "convert": None,
            "continued": None,
        }
    if not jobs:
        raise InputError(f"{args.jobs}: no lines; write such as {{\"id\": \"a\", \"text\": \"hello\"}}")
    for job in jobs.values():  # of another line's speech a line may well go on
        given = {"--list": args.jobs, "--prompt": common.get("A"), f"prompt in {args.jobs}": job["prompts"].get("A")}
        refuse_overwriting([job["output"]], given)
    return list(jobs.values())


def _content(path: str) -> str:
    from pathlib import Path

    from soundstorm.data.data_dir import looked_for, not_utf8

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file{looked_for(Path(path))}; check the path")
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(not_utf8(path)) from error


def _by_voice(values: list[str], option: str, named: bool) -> dict[str, str]:
    """``A=...`` of a script's voices; without a script one value."""
    if named:
        pairs = [value.partition("=") for value in values]
        wrong = next((value for value, (voice, equals, rest) in zip(values, pairs) if not (voice and rest)), None)
        if wrong is not None or len({voice for voice, _, _ in pairs}) < len(pairs):
            raise InputError(f"{option} {wrong or values[-1]!r}: expected one A=... for every voice of the script")
        return {voice: rest for voice, _, rest in pairs}
    if len(values) > 1:
        raise InputError(f"{option} is given {len(values)} times, expected once; several voices need --script")
    return {"A": values[0]} if values else {}


def _ask_for_consent() -> None:
    """Whoever clones a voice says that its owner agrees."""
    import os
    import sys

    if os.environ.get(CONSENT, "").lower() == "yes":
        return
    why = "speech in somebody's voice needs that person's agreement"
    if not sys.stdin.isatty():
        raise InputError(f"{why}; if you have it, say so by --consent (or {CONSENT}=yes)")
    print(f"{why.capitalize()}. Do you have it? [yes/no] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError(f"{why}; nothing was made")


if __name__ == "__main__":
    run_front(main)
