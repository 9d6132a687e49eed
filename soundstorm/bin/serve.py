"""Serve a page that says your words in a voice, with the models of a pack, to the browser of this machine."""

from __future__ import annotations

from soundstorm.bin.common import FrontParser, run_front
from soundstorm.bin.speak import load_speaker, pack_parser
from soundstorm.data.errors import InputError


def get_parser() -> FrontParser:
    """Options of the command."""
    parser = pack_parser(__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen at; others than the default let other machines in, without a password",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=8765, help="port to listen at, 0 for any (default: 8765)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse, load and serve until interrupted."""
    args = get_parser().parse_args(argv)
    import logging
    from importlib.util import find_spec

    from soundstorm.serving.page_server import SpeechServer

    if find_spec("matplotlib") is None:
        raise InputError("matplotlib, which draws spectrograms, is not installed; run: pip install matplotlib")
    with SpeechServer(load_speaker(args), args.host, args.port) as server:
        if not server.only_local:
            logging.warning("whoever reaches this machine can speak with it: there is no password")
        logging.info("open %s in a browser; Ctrl-C ends it", server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            logging.info("ended")


if __name__ == "__main__":
    run_front(main)
