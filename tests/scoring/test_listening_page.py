import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from soundstorm.scoring.listening_page import Clip, Example, encode_flac, spectrogram_png, write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium to open the page in; install it with: make -C tools system"
)

# Presses keys as a user would and writes into the page what came of it.
PROBE = """
<script>
(async () => {
  const out = document.createElement("pre");
  out.id = "probe";
  const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const where = () => document.activeElement.getAttribute("aria-label");
  const seen = [];
  const keys = ["j", "ArrowRight", "ArrowRight", "k", "ArrowLeft", "ArrowLeft"];
  for (const key of keys) { press(key); seen.push(where()); }
  const tabbable = document.querySelectorAll('.clip[tabindex="0"]').length;
  const audio = document.querySelector("audio");
  audio.preload = "auto";
  const seconds = await new Promise((done) => {
    audio.addEventListener("loadedmetadata", () => done(audio.duration));
    audio.addEventListener("error", () => done(-1));
    audio.load();
  });
  const boxes = document.querySelectorAll(".systems input");
  boxes[0].click();
  const hidden = document.querySelectorAll(".clip[hidden]").length;
  boxes[0].click();
  const broken = [...document.images].filter((image) => image.complete && image.naturalWidth === 0).length;
  out.textContent = JSON.stringify({ seen, tabbable, seconds, boxes: boxes.length, hidden, broken });
  document.body.append(out);
})();
</script>
"""


def tone(hertz, seconds=1.0):
    return (0.2 * np.sin(2 * np.pi * hertz * np.arange(int(16000 * seconds)) / 16000)).astype(np.float32)


def examples():
    return [
        Example(
            name,
            f"text of {name} <b>& more</b>",
            [Clip(system, tone(200 * (i + 1)), {"heard": "a tone"}) for i, system in enumerate(("Original", "Codec"))],
        )
        for name in ("u1", "u2")
    ]


def browse(page, folder):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
        "--autoplay-policy=no-user-gesture-required", "--virtual-time-budget=4000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_flac_gives_the_samples_back(tmp_path):
    path = tmp_path / "x.flac"
    path.write_bytes(encode_flac(tone(300), 16000))
    wav, sample_rate = soundfile.read(path, dtype="float32")
    assert sample_rate == 16000 and np.allclose(wav, tone(300), atol=1 / 32000)


def test_the_spectrogram_shows_a_tone_at_its_height():
    import io

    from matplotlib import image

    pixels = image.imread(io.BytesIO(spectrogram_png(tone(2000.0), 16000)), format="png").mean(axis=2)
    assert pixels.shape[0] == 96 and 50 < pixels.shape[1] <= 480
    brightest = pixels.mean(axis=1).argmax()
    assert brightest == pytest.approx(96 * (1 - 2000 / 8000), abs=2)


def test_a_very_short_clip_has_a_spectrogram_too():
    assert spectrogram_png(np.zeros(10, dtype=np.float32), 16000).startswith(b"\x89PNG")


def test_the_page_needs_nothing_from_elsewhere_and_escapes_text(tmp_path):
    page = write_page(tmp_path / "report", examples(), title="A & B", sample_rate=16000)
    content = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://|//cdn", content)
    assert "&lt;b&gt;&amp; more" in content and "<title>A &amp; B</title>" in content
    names = re.findall(r'src="([^"]+)"', content)
    assert len(names) == 8 and all((tmp_path / "report" / name).is_file() for name in names)


def test_an_embedding_page_is_one_file(tmp_path):
    write_page(tmp_path / "report", examples(), title="T", sample_rate=16000, embed=True)
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


def test_the_same_input_writes_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_page(tmp_path / name, examples(), title="T", sample_rate=16000)
    first, second = ([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))] for name in ("a", "b"))
    assert len(first) == 9 and first == second


@needs_chromium
@pytest.mark.parametrize("embed", [False, True])
def test_a_browser_plays_the_page_from_disk_by_keyboard(tmp_path, embed):
    import json

    page = write_page(tmp_path / "report", examples(), title="T", sample_rate=16000, embed=embed)
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    dom = browse(probed, tmp_path)
    assert 'data-ready="true"' in dom
    found = json.loads(re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)[1])
    assert [label.split(",")[:2] for label in found["seen"]] == [
        ["Original", " u2"],
        ["Codec", " u2"],
        ["Codec", " u2"],
        ["Codec", " u1"],
        ["Original", " u1"],
        ["Original", " u1"],
    ]
    assert found["seconds"] == pytest.approx(1.0, abs=0.05)
    assert (found["tabbable"], found["boxes"], found["hidden"], found["broken"]) == (1, 2, 2, 0)


def test_turns_of_a_dialogue_are_shown_one_by_one(tmp_path):
    clips = [Clip("Original", tone(200))]
    spoken = [Example("u1", "how are you | <fine> | good", clips), Example("u2", "alone", clips),
              Example("script", "", clips, [("A", "hello"), ("B", "& you")])]  # fmt: skip
    content = write_page(tmp_path, spoken, title="T", sample_rate=16000).read_text(encoding="utf-8")
    first, second, third = re.findall(r'<section class="row".*?</section>', content, re.DOTALL)
    assert re.findall("<li>(.*)</li>", first) == ["how are you", "&lt;fine&gt;", "good"]
    assert '<p class="text">alone</p>' in second and "<li>" not in second
    assert re.findall("<li>(.*)</li>", third) == ["<b>A</b> hello", "<b>B</b> &amp; you"]
