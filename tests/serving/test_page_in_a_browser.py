"""The page in Chromium: a prompt is uploaded, words are typed, and what comes back is heard."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.browser import Page, needs_chromium

pytestmark = [needs_chromium, pytest.mark.integration]
LOUDEST = """(async (place) => {
  const address = document.querySelectorAll("#results audio")[place].src;
  const context = new OfflineAudioContext(1, 1, 16000);
  const sound = await context.decodeAudioData(await (await fetch(address)).arrayBuffer());
  return [sound.duration, sound.getChannelData(0).reduce((a, b) => Math.max(a, Math.abs(b)), 0)];
})"""


@pytest.fixture
def page(recipe_inputs, repository, tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "prompt.wav", rng.normal(0, 0.1, 44100 * 2), 44100)
    (tmp_path / "words.txt").write_text("no recording")
    command = [sys.executable, "-m", "soundstorm.bin.serve", "--model", str(recipe_inputs), "--port", "0"]
    server = subprocess.Popen(command, cwd=repository, stderr=subprocess.PIPE, text=True)
    try:
        url = next(found[1] for line in server.stderr if (found := re.search(r"open (http://\S+) in", line)))
        with Page(tmp_path / "profile", url) as page:
            page.url = url
            yield page
    finally:
        server.send_signal(signal.SIGINT)
        _, log = server.communicate(timeout=60)
    assert server.returncode == 0 and "Traceback" not in log, log


def results(page, count):
    page.wait_for(
        f"document.querySelectorAll('#results .clip').length === {count}"
        " && !document.querySelector('#speak').disabled"
    )


def test_words_are_said_in_an_uploaded_voice_and_scripts_in_several(page, tmp_path):
    page.type("red one")
    page.upload(".voice input[type=file]", tmp_path / "prompt.wav")
    page.wait_for("!document.querySelector('.consent').hidden")
    page.press("Enter", control=True)
    page.wait_for("document.querySelector('#error').textContent.includes('agreement')")
    page.run("document.querySelector('#consent').click()")
    page.press("Enter", control=True)
    results(page, 1)
    seconds, loudest = page.run(f"{LOUDEST}(0)")
    assert seconds > 0.1 and loudest > 0.001
    page.wait_for("document.querySelector('#results img').naturalWidth > 10")
    # The waveform is painted.
    assert page.run("new Uint32Array(document.querySelector('#results canvas').getContext('2d')"
                    ".getImageData(0, 0, 480, 48).data.buffer).some((value) => value)")  # fmt: skip

    # The same voice, another seed: other speech, beside the first, the newer one first.
    page.run("document.querySelector('#seed-number').select()")
    page.run("document.querySelector('#seed-number').focus()")
    page.type("7")
    page.press("Enter", control=True)
    results(page, 2)
    seven = "[...document.querySelectorAll('#results dl')].map((list) => /seed7/.test(list.textContent))"
    assert page.run(seven) == [True, False]
    assert page.run("document.querySelector('#results a').download") == "synthetic_speech_seed7.wav"

    # Keys move among the results and play them.
    page.press("j")
    assert page.run("document.activeElement === document.querySelectorAll('#results .clip')[1]")
    page.press("0")
    page.wait_for("document.querySelectorAll('#results audio')[1].currentTime > 0")

    # A script, in colours; one of the voices comes from the microphone.
    page.run("document.querySelector('input[value=script]').click()")
    page.run("document.querySelector('#text').select()")
    page.type("A: red\nB: one\nsomething else")
    assert page.run("[...document.querySelectorAll('.editor span')].map((line) => line.className)") == [
        "v0",
        "v1",
        "wrong",
    ]
    page.press("Enter", control=True)
    page.wait_for(
        "document.querySelector('#error').textContent.includes(\"line 3: expected 'A: some words'\")"
    )
    page.run("document.querySelector('#text').select()")
    page.type("A: red\nB: one")
    page.run("document.querySelector('[data-voice=B] .record').click()")
    page.wait_for("document.querySelector('[data-voice=B] .record').textContent === 'Stop'")
    page.run("new Promise((done) => setTimeout(done, 2500))")
    page.run("document.querySelector('[data-voice=B] .record').click()")
    page.wait_for("document.querySelector('[data-voice=B] audio').duration > 1")
    page.run("document.querySelector('#text').focus()")
    page.press("Enter", control=True)
    results(page, 3)
    assert page.run(f"{LOUDEST}(0)")[1] > 0.001
    assert page.run("document.querySelector('#results dd').textContent") == "red | one"

    # What is no recording is said; nothing came from or went to anywhere else, and nothing was complained of.
    page.upload("[data-voice=A] input[type=file]", tmp_path / "words.txt")
    page.press("Enter", control=True)
    page.wait_for(
        "document.querySelector('#error').textContent.includes('the prompt of A: cannot be read as audio')"
    )
    assert all(address.startswith((page.url, "blob:", "data:")) for address in page.addresses), page.addresses
    assert [text for text in page.complaints if "400 (Bad Request)" not in text] == []
