"""The page's server: what it says, what it refuses, and that one job comes after the other."""

import base64
import http.client
import io
import json
import threading
import time

import numpy as np
import pytest
import soundfile

from soundstorm.data.errors import InputError
from soundstorm.decoding.speech_generator import SpeechGenerator
from soundstorm.serving import page_server, speech_request, work_queue
from soundstorm.serving.page_server import SpeechServer
from soundstorm.serving.work_queue import QueueFull, WorkQueue

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(recipe_inputs):
    with SpeechServer(SpeechGenerator.from_pretrained(recipe_inputs, device="cpu")) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def ask(server, method, path, body=None, headers=None):
    """Status, headers and content, which is read as JSON where it is."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        connection.request(method, path, body, headers or (JSON if body is not None else {}))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return (
        answer.status,
        answer.headers,
        json.loads(content) if "json" in answer.headers["Content-Type"] else content,
    )


def say(server, **request):
    """What becomes of a request: the last state of its job, with its path."""
    status, _, answer = ask(server, "POST", "/jobs", json.dumps(request))
    assert status == 202, answer
    path = f"/jobs/{answer['job']}"
    while (found := ask(server, "GET", path)[2])["state"] in ("waiting", "working"):
        time.sleep(0.01)
    return found, path


def recording(seconds=1.5, rate=22050):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(0).normal(0, 0.1, int(rate * seconds)), rate, format="FLAC")
    return base64.b64encode(buffer.getvalue()).decode()


def test_words_are_said_as_the_generator_says_them(server):
    found, path = say(server, text="Red one", seed=3, iterations=1, temperature=0.5,
                      prompts={"A": {"audio": recording(), "text": "two"}}, consent=True)  # fmt: skip
    assert found["state"] == "done" and found["text"] == "red one" and found["seed"] == 3
    expected = server.speaker.with_sampling(iterations=(1, 1), temperature=0.5)(
        "red one", seed=3, prompt=soundfile.read(io.BytesIO(base64.b64decode(recording())), dtype="float32"),
        prompt_text="two",
    )  # fmt: skip
    for name, kind in (("speech.wav", "audio/wav"), ("speech.flac", "audio/flac")):
        status, headers, content = ask(server, "GET", f"{path}/{name}")
        assert status == 200 and headers["Content-Type"] == kind
        with soundfile.SoundFile(io.BytesIO(content)) as stream:
            assert stream.comment.startswith("Synthetic speech") and "seed 3" in stream.comment
            np.testing.assert_allclose(stream.read(), expected.samples.clip(-1, 1), atol=1e-4)
    assert ask(server, "GET", f"{path}/spectrogram.png")[2].startswith(b"\x89PNG")
    assert ask(server, "DELETE", path)[0] == 200 and ask(server, "GET", path)[0] == 404


def test_scripts_are_said_and_what_cannot_be_read_is_a_sentence(server):
    assert say(server, text="A: red\nB: one", script=True)[0]["text"] == "red | one"
    found, path = say(server, text="?!")
    assert found["state"] == "failed" and found["error"].startswith("nothing to pronounce in '?!'")
    assert ask(server, "GET", f"{path}/speech.wav")[0] == 404


def test_numbers_are_in_words_where_server_and_page_want_them(server, monkeypatch):
    for language, wanted, expected in (("en", True, "en"), ("en", False, None), (None, True, None)):
        monkeypatch.setattr(server.speaker, "numbers", language)
        request = json.dumps({"text": "1", "numbers": wanted}).encode()
        work = speech_request.read_request(request, server.speaker)
        assert work.func.__self__.numbers == expected and server.speaker.numbers == language


@pytest.mark.parametrize("usual, expected", [((4,), (9, 4)), ((2, 1), (9, 1)), ((16, 3), (9, 3))])
def test_iterations_are_those_of_the_first_level(server, usual, expected):
    speaker = server.speaker.with_sampling(iterations=usual)
    for iterations, wanted in ((9, expected), (None, usual)):
        request = json.dumps({"text": "red", "iterations": iterations}).encode()
        assert speech_request.read_request(request, speaker).func.__self__.sampling.iterations == wanted


def test_progress_names_levels_and_passes(server):
    told = []
    server.speaker.dialogue("A: red one", progress=lambda **what: told.append(what))
    assert [what["part"] for what in told if "part" in what] == [
        "prompts",
        "text_to_semantic",
        "soundstorm",
        "codec",
    ]
    assert {"segment": 1, "segments": 1} in told
    passes = [(what["level"], what["iteration"]) for what in told if "level" in what]
    assert passes == [(1, 1), (1, 2), (2, 1)] and told[-2]["iterations"] == [2, 1]


def test_the_page_loads_from_this_server_only(server):
    status, headers, page = ask(server, "GET", "/")
    assert status == 200 and b"Prompt it only with voices whose owners agree" in page and b"$" not in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    for path in ("/page.js", "/page.css"):
        status, _, content = ask(server, "GET", path)
        assert status == 200 and b"//cdn" not in content and b"https://" not in content


SECRET = "there is no "


@pytest.mark.parametrize(
    "method, path, headers, status, message",
    [
        ("GET", "/../setup.py", {}, 404, SECRET),
        ("GET", "/page_assets/speak.js", {}, 404, SECRET),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", {}, 404, SECRET),
        ("GET", "/jobs/../../etc/passwd", {}, 404, SECRET),
        ("GET", "/jobs/unknown/speech.wav", {}, 404, "or not any more"),
        ("DELETE", "/jobs/unknown", {}, 404, "or not any more"),
        ("POST", "/", JSON, 404, SECRET),
        ("POST", "/jobs", {"Content-Type": "text/plain"}, 415, "expected a request of type application/json"),
        ("POST", "/jobs", {**JSON, "Content-Length": "-1"}, 411, "Content-Length is '-1'"),
        (
            "POST",
            "/jobs",
            {**JSON, "Content-Length": "99999999999"},
            413,
            "expected 24 at most; give shorter",
        ),
        ("POST", "/jobs", {**JSON, "Origin": "http://elsewhere.org"}, 403, "has nothing to ask here"),
        ("GET", "/", {"Host": "elsewhere.org:80"}, 403, "this page is at http://127.0.0.1"),
        ("PUT", "/jobs", {}, 501, "Unsupported method ('PUT')"),
    ],
)
def test_requests_that_the_page_does_not_make_are_refused(server, method, path, headers, status, message):
    found, _, answer = ask(server, method, path, None, headers or {"Accept": "*"})
    assert found == status and message in answer["error"]


@pytest.mark.parametrize(
    "request_, message",
    [
        ([], "the request: expected fields with values"),
        ({}, "the request: no field 'text'"),
        ({"text": 3}, "text is 3, expected a value of type str"),
        ({"text": "red", "path": "/etc/passwd"}, "the request: unknown field 'path'"),
        ({"text": "x" * 3001}, "the text has 3001 characters, expected 3000 at most"),
        ({"text": "red", "seed": -1}, "seed is -1, expected 0 to 2147483647"),
        ({"text": "red", "iterations": 65}, "iterations is 65, expected 1 to 64"),
        ({"text": "red", "temperature": 9}, "temperature is 9.0, expected 0 to 2.0"),
        ({"text": "red", "script": True}, "the script, line 1: expected 'A: some words'"),
        ({"text": "red \ud800"}, "half a character"),
        ({"text": "red", "prompts": {"A": {"audio": "?"}}}, "the prompt of A: not base64"),
        ({"text": "red", "prompts": {"A": {"audio": "cmVk"}}}, "the prompt of A: cannot be read as audio"),
        ({"text": "red", "prompts": {"A": "/etc/passwd"}}, "the prompt of A: expected fields with values"),
        ({"text": "red", "prompts": {str(n): {} for n in range(9)}}, "for each of 8 voices at most"),
        ({"text": "red", "prompts": {"A": {"audio": recording()}}}, "needs that person's agreement"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_in_a_sentence(server, request_, message):
    status, _, answer = ask(server, "POST", "/jobs", json.dumps(request_))
    assert status == 400 and message in answer["error"]


def test_what_is_no_json_and_small_files_of_long_silence_are_refused(server, monkeypatch):
    assert "not JSON" in ask(server, "POST", "/jobs", b"\xff{")[2]["error"]
    monkeypatch.setattr(speech_request, "MOST_PROMPT_SAMPLES", 10_000)
    request = {"text": "red", "prompts": {"A": {"audio": recording()}}, "consent": True}
    answer = ask(server, "POST", "/jobs", json.dumps(request))[2]
    assert "has more than 0 s of 1 channels at 22050 Hz, expected 10000 samples at most; cut it" in answer["error"]


def test_a_prompt_that_cannot_serve_is_named(server):
    found, _ = say(server, text="red", prompts={"A": {"audio": recording(0.2)}}, consent=True)
    assert found["state"] == "failed" and found["error"].startswith(
        "the prompt of A: lasts 0.20 s, expected 1 s"
    )
    found, _ = say(server, text="red", prompts={"B": {"audio": recording()}}, consent=True)
    assert found["error"].startswith("prompts are given for B, expected one for each voice of the script (A)")


def test_a_port_that_is_taken_is_refused(server):
    with pytest.raises(InputError, match="cannot listen at 127.0.0.1, port .* try another --port"):
        SpeechServer(server.speaker, port=server.server_address[1])


def test_no_thread_outlives_the_server(monkeypatch, server):
    def work(progress):
        while True:
            progress(part="x")
            time.sleep(0.001)

    def slow_picture(*_):
        asked.set()
        time.sleep(0.3)
        return b"picture"

    asked, before = threading.Event(), set(threading.enumerate())
    monkeypatch.setattr(page_server, "read_request", lambda *_: work)
    monkeypatch.setattr(page_server, "spectrogram_png", slow_picture)
    with SpeechServer(server.speaker) as other:
        serving = threading.Thread(target=other.serve_forever, args=[0.01])
        serving.start()
        done = other.queue.add(lambda progress: server.speaker("red"))
        wait_for(lambda: done.state == "done")
        ask(other, "POST", "/jobs", "{}")
        idle = http.client.HTTPConnection(*other.server_address[:2], timeout=20)  # kept open, as browsers do
        idle.request("GET", "/")
        assert idle.getresponse().read()
        drawing = http.client.HTTPConnection(*other.server_address[:2], timeout=20)
        drawing.request("GET", f"/jobs/{done.name}/spectrogram.png")
        asked.wait(20)
        other.shutdown()
        serving.join()
        started = time.monotonic()
    assert set(threading.enumerate()) <= before and time.monotonic() - started < page_server.SILENT_SECONDS / 2
    assert drawing.getresponse().read() == b"picture"  # what was asked before is answered
    idle.close()
    drawing.close()


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_one_job_comes_after_the_other_and_not_too_many_wait(monkeypatch):
    monkeypatch.setattr(work_queue, "MOST_WAITING", 2)
    queue, order, go = WorkQueue(), [], threading.Event()

    def work(number, progress):
        order.append(number)
        go.wait(20)
        progress(part="x", level=number)
        return number

    jobs = [queue.add(lambda progress, n=number: work(n, progress)) for number in range(1)]
    wait_for(lambda: jobs[0].state == "working")
    jobs += [queue.add(lambda progress, n=number: work(n, progress)) for number in (1, 2)]
    assert [queue.ahead(job) for job in jobs] == [0, 1, 2]
    with pytest.raises(QueueFull, match="2 texts wait already"):
        queue.add(lambda progress: None)
    queue.cancel(jobs[1])
    queue.cancel(jobs[0])  # which is at work, and ends at its next word
    go.set()
    wait_for(lambda: jobs[2].state == "done")
    assert order == [0, 2] and jobs[0].state == "cancelled" and jobs[2].result == 2 and jobs[2].work is None
    assert jobs[2].progress == {"part": "x", "level": 2} and queue.get(jobs[1].name) is None


def test_old_results_are_forgotten_and_faults_end_one_job_only(monkeypatch, caplog):
    monkeypatch.setattr(work_queue, "MOST_KEPT", 2)
    queue = WorkQueue()

    def fault(progress):
        raise KeyError("x")

    jobs = [queue.add(fault), *(queue.add(lambda progress: 1) for _ in range(3))]
    wait_for(lambda: queue.get(jobs[1].name) is None)
    assert (
        jobs[0].state == "failed"
        and jobs[0].error == "a fault of the program (KeyError: 'x'); its log says more"
    )
    assert [queue.get(job.name) is job for job in jobs] == [False, False, True, True]


def test_nobody_elses_name_resolution_is_asked(monkeypatch, server):
    def never(*_):
        raise AssertionError("the network is asked")

    monkeypatch.setattr(page_server.ThreadingHTTPServer, "server_bind", never)
    with SpeechServer(server.speaker) as other:
        assert other.only_local and other.url.startswith("http://127.0.0.1:")
