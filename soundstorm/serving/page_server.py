"""The page and its jobs over HTTP. Nothing is read from or written to the disk for a request.

``GET /``, ``/page.js``, ``/page.css``; ``POST /jobs`` with a request (speech_request.py) gives a job's name;
``GET /jobs/<name>`` its state, ``/jobs/<name>/speech.wav`` (``.flac``, ``.ogg``) and
``/jobs/<name>/spectrogram.png`` what it made; ``DELETE /jobs/<name>`` ends it. What is refused has ``error``,
a sentence, in JSON.
"""

from __future__ import annotations

import contextlib
import html
import ipaddress
import json
import logging
import re
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from string import Template
from typing import Any

from soundstorm.data.errors import InputError
from soundstorm.decoding.speech import FORMATS, Speech
from soundstorm.decoding.speech_generator import SpeechGenerator
from soundstorm.scoring.listening_page import ASSETS as LISTENING_ASSETS
from soundstorm.scoring.listening_page import spectrogram_png
from soundstorm.serving import speech_request
from soundstorm.serving.speech_request import read_request
from soundstorm.serving.work_queue import DONE, Job, QueueFull, WorkQueue
from soundstorm.sharing.model_card import MISUSE

logger = logging.getLogger(__name__)
ASSETS = Path(__file__).parent / "page_assets"
SILENT_SECONDS = 30  # after which a connection without a word is closed
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
# The page loads from this server only, is in no other page, and tells nobody where it is.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self' blob:; img-src 'self' data:; media-src blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
}  # fmt: skip
AUDIO_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg"}


class Refused(Exception):
    """A request that gets no answer but this status and sentence."""

    def __init__(self, status: HTTPStatus, message: str):
        super().__init__(message)
        self.status = status


class SpeechServer(ThreadingHTTPServer):
    """Serves the page of one pack until it is shut down."""

    # Its threads are waited for: one that is still in a library's C++ code when Python ends aborts the process.
    daemon_threads = False

    def __init__(self, speaker: SpeechGenerator, host: str = "127.0.0.1", port: int = 0):
        """
        Args:
            speaker: the models.
            host: address to listen at; other machines reach those that are not this machine's own.
            port: to listen at; 0 for any that is free.

        Raises:
            OSError: the address is not this machine's, or the port is taken.
        """
        self.speaker, self.queue, self.pages = speaker, WorkQueue(), _pages(speaker)
        self._connections: set[socket.socket] = set()
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"cannot listen at {host}, port {port}: {error}; try another --port, e.g. 0"
            ) from error
        # Pages of other servers must not reach it by a name that they made lead here.
        self.only_local = ipaddress.ip_address(self.server_address[0]).is_loopback

    def server_bind(self) -> None:
        """Bind, without the question to the network for this machine's name that http.server asks."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address) -> None:
        """Answer a connection in a thread of its own."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        """End a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Let go of the port, answer what was asked, and end the job at work where it next tells its progress."""
        for connection in list(self._connections):  # nothing more is read from those that browsers keep open
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        super().server_close()
        self.queue.close()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}/"


def _pages(speaker: SpeechGenerator) -> dict[str, tuple[str, bytes]]:
    """Path to type and content."""
    usual = getattr(speaker.sampling, "iterations", None)
    settings = {
        "model": speaker.name,
        "iterations": usual and usual[0],
        "temperature": getattr(speaker.sampling, "temperature", None),
        "most": {name: getattr(speech_request, f"MOST_{name.upper()}")
                 for name in ("characters", "bytes", "voices", "iterations", "temperature", "seed")},
        "formats": list(FORMATS),
        "numbers": speaker.numbers,
    }  # fmt: skip
    page = Template((ASSETS / "speak.html").read_text(encoding="utf-8")).substitute(
        model=html.escape(speaker.name), misuse=html.escape(MISUSE),
        settings=html.escape(json.dumps(settings)),
    )  # fmt: skip
    style = (LISTENING_ASSETS / "page.css").read_bytes() + (ASSETS / "speak.css").read_bytes()
    return {
        "/": ("text/html; charset=utf-8", page.encode()),
        "/page.css": ("text/css; charset=utf-8", style),
        "/page.js": ("text/javascript; charset=utf-8", (ASSETS / "speak.js").read_bytes()),
    }


class _Handler(BaseHTTPRequestHandler):
    server: SpeechServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "SoundStorm", ""
    timeout = SILENT_SECONDS

    def do_GET(self) -> None:  # noqa: N802  http.server calls it so
        self._answer(self._get)

    def do_POST(self) -> None:  # noqa: N802
        self._answer(self._post)

    def do_DELETE(self) -> None:  # noqa: N802
        self._answer(self._delete)

    def _answer(self, act) -> None:
        try:
            self._check_sender()
            kind, content, status = act()
        except Refused as error:
            self.send_error(error.status, str(error))
        except InputError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
        except (TimeoutError, ConnectionError):
            self.close_connection = True
        except Exception as error:  # the server goes on
            logger.exception("a fault of the program rather than of its input; please report it")
            self.send_error(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"a fault of the program ({type(error).__name__})"
            )
        else:
            self._send(status, kind, content)

    def send_error(self, code, message=None, explain=None) -> None:
        """A sentence as JSON; also where http.server finds what it cannot read."""
        self.close_connection = True  # what is left of the request is not read
        sentence = message or HTTPStatus(code).phrase
        logger.info("refused with %d: %s", code, sentence)
        self._send(code, *_json({"error": sentence})[:2])

    def _send(self, status: int, kind: str, content: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)
        except (TimeoutError, ConnectionError):  # nobody waits any more
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the page asks several times a second."""

    def _check_sender(self) -> None:
        """Refuse what another site's page had a browser send."""
        host = self.headers.get("Host", "")
        if self.server.only_local and re.sub(r":\d+$", "", host).strip("[]") not in LOCAL_NAMES:
            raise Refused(HTTPStatus.FORBIDDEN, f"this page is at {self.server.url}, not at {host!r:.80}")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{host}" and origin != f"https://{host}":
            raise Refused(HTTPStatus.FORBIDDEN, f"a page of {origin!r:.80} has nothing to ask here")

    def _get(self) -> tuple[str, bytes, int]:
        if self.path in self.server.pages:
            return *self.server.pages[self.path], HTTPStatus.OK
        job, what = self._job()
        if not what:
            return _json({"state": job.state, "ahead": self.server.queue.ahead(job), "progress": job.progress,
                          **_outcome(job)})  # fmt: skip
        ending = Path(what).suffix
        if job.state != DONE or what not in ("spectrogram.png", *(f"speech{name}" for name in FORMATS)):
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no {what!r:.40} of this text (it is {job.state})")
        if ending == ".png":
            return "image/png", spectrogram_png(job.result.samples, job.result.sample_rate), HTTPStatus.OK
        return AUDIO_TYPES[ending], job.result.encoded(what), HTTPStatus.OK

    def _post(self) -> tuple[str, bytes, int]:
        if self.path != "/jobs":
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no page {self.path!r:.80} here")
        if self.headers.get_content_type() != "application/json":  # forms of other sites cannot send it
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected a request of type application/json")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length, re.ASCII):
            raise Refused(
                HTTPStatus.LENGTH_REQUIRED, f"Content-Length is {length!r:.40}, expected a number of bytes"
            )
        if int(length) > speech_request.MOST_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the request has {int(length) >> 20} MiB, expected {speech_request.MOST_BYTES >> 20} at "
                "most; give shorter recordings: three seconds of each voice serve",
            )
        body = self.rfile.read(int(length))
        try:
            job = self.server.queue.add(read_request(body, self.server.speaker))
        except QueueFull as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        return _json({"job": job.name}, HTTPStatus.ACCEPTED)

    def _delete(self) -> tuple[str, bytes, int]:
        job, _ = self._job()
        self.server.queue.cancel(job)
        return _json({})

    def _job(self) -> tuple[Job, str]:
        """The job that the path names, and what of it."""
        match = re.fullmatch(r"/jobs/([\w-]{1,40})(?:/([a-z.]{1,20}))?", self.path, re.ASCII)
        job = self.server.queue.get(match[1]) if match else None
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no page {self.path!r:.80} here, or not any more")
        return job, match[2] or ""


def _outcome(job: Job) -> dict[str, Any]:
    result = job.result
    if not isinstance(result, Speech):
        return {"error": job.error} if job.error else {}
    return {"text": result.text, "duration": result.duration, "seed": result.seed, "seconds": job.seconds}


def _json(values: dict[str, Any], status: int = HTTPStatus.OK) -> tuple[str, bytes, int]:
    return "application/json", json.dumps(values).encode(), status
