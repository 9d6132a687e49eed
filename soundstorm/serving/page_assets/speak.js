"use strict";
(() => {
  const settings = JSON.parse(document.body.dataset.settings);
  const find = (selector, root = document) => root.querySelector(selector);
  const made = (name) => find(`template#${name}`).content.firstElementChild.cloneNode(true);
  const all = (selectors, root = document) => selectors.map((selector) => find(selector, root));
  const [form, text, colours, voices, results] = all(["form", "#text", ".editor pre", ".voices", "#results"]);
  const [consent, status, error, bar] = all(["#consent", "#status", "#error", "#progress"]);
  const [speak, cancel] = all(["#speak", "#cancel"]);
  const prompts = new Map(); // voice -> { file, words }
  const TURN = /^\s*([A-Za-z0-9_-]+)\s*:\s*\S/; // as soundstorm/decoding/script.py reads it
  const isScript = () => form.elements.mode.value === "script";
  const fail = (message) => {
    error.textContent = message;
    error.hidden = !message;
  };

  // -- text, in the colours of its voices
  const voicesOf = () => {
    if (!isScript()) return ["A"];
    const lines = text.value.split("\n").filter((line) => !/^\s*#/.test(line));
    const named = lines.map((line) => TURN.exec(line)).filter(Boolean);
    return [...new Set(named.map((match) => match[1]))].slice(0, settings.most.voices);
  };
  const paint = () => {
    const names = voicesOf();
    colours.replaceChildren();
    for (const line of text.value.split("\n")) {
      const span = document.createElement("span");
      span.textContent = `${line}\n`;
      if (isScript() && line.trim() && !/^\s*#/.test(line)) {
        const match = TURN.exec(line);
        const number = match ? names.indexOf(match[1]) : -1;
        span.className = number < 0 ? "wrong" : `v${number}`;
      }
      colours.append(span);
    }
    colours.scrollTop = text.scrollTop;
    const count = find(".count");
    count.textContent = `${text.value.length} of ${settings.most.characters} characters`;
    count.classList.toggle("much", text.value.length > settings.most.characters);
    showVoices(names);
  };
  text.addEventListener("input", paint);
  text.addEventListener("scroll", () => { colours.scrollTop = text.scrollTop; });
  new ResizeObserver(() => { colours.style.height = `${text.offsetHeight}px`; }).observe(text);
  for (const mode of form.elements.mode) mode.addEventListener("change", paint);

  // -- prompts
  const showConsent = () => {
    find(".consent").hidden = !voicesOf().some((voice) => prompts.has(voice));
  };
  const showVoices = (names) => {
    const there = [...voices.children].map((card) => card.dataset.voice);
    if (there.join() !== names.join()) {
      const cards = new Map([...voices.children].map((card) => [card.dataset.voice, card]));
      voices.replaceChildren(...names.map((name) => cards.get(name) || voiceCard(name)));
    }
    [...voices.children].forEach((card, number) => {
      card.className = `clip voice ${isScript() ? `v${number}` : ""}`;
      find(".name", card).textContent = isScript() ? `Voice ${card.dataset.voice}` : "Voice";
    });
    showConsent();
  };
  const voiceCard = (name) => {
    const card = made("voice");
    card.dataset.voice = name;
    const [input, player, record, clear, words] = all(
      ["input[type=file]", "audio", ".record", ".clear", ".words input"], card);
    const take = (file) => {
      fail("");
      if (player.src) URL.revokeObjectURL(player.src);
      if (file) prompts.set(name, { file, words: () => words.value });
      else prompts.delete(name);
      player.hidden = clear.hidden = find(".words", card).hidden = !file;
      if (file) player.src = URL.createObjectURL(file);
      else player.removeAttribute("src");
      showConsent();
    };
    if (prompts.has(name)) take(prompts.get(name).file); // a voice that the script has again
    input.addEventListener("change", () => input.files[0] && take(input.files[0]));
    clear.addEventListener("click", () => {
      input.value = "";
      take(null);
    });
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
      card.addEventListener(kind, (event) => {
        event.preventDefault();
        card.classList.toggle("over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
      });
    }
    if (!navigator.mediaDevices) {
      record.disabled = true;
      record.title = "Browsers lend the microphone only to pages of the same machine or of https.";
    }
    let recorder = null;
    record.addEventListener("click", async () => {
      if (recorder) return recorder.stop();
      try {
        const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
        const stream = await navigator.mediaDevices.getUserMedia({ audio: raw });
        const pieces = [];
        recorder = new MediaRecorder(stream);
        recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
        recorder.addEventListener("stop", async () => {
          clearTimeout(end);
          stream.getTracks().forEach((track) => track.stop());
          recorder = null;
          record.textContent = "Record";
          input.value = "";
          const file = await toWav(new Blob(pieces)).catch(() => null);
          take(file);
          if (!file) fail("The recording cannot be read; record it again.");
        });
        recorder.start();
        record.textContent = "Stop";
        const end = setTimeout(() => recorder && recorder.stop(), 10000);
      } catch (reason) {
        recorder = null;
        fail(`The microphone cannot be heard: ${reason.message}`);
      }
    });
    return card;
  };
  // What browsers record in, few others can read.
  const toWav = async (blob) => {
    const context = new AudioContext();
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    context.close();
    const channels = [...Array(sound.numberOfChannels).keys()].map((c) => sound.getChannelData(c));
    const view = new DataView(new ArrayBuffer(44 + 2 * sound.length));
    const bytes = 2 * sound.length;
    for (const [at, word] of [[0, "RIFF"], [8, "WAVEfmt "], [36, "data"]]) {
      [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
    }
    for (const [at, value] of [[4, 36 + bytes], [16, 16], [24, sound.sampleRate], [28, 2 * sound.sampleRate],
      [40, bytes]]) view.setUint32(at, value, true);
    for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) view.setUint16(at, value, true);
    for (let i = 0; i < sound.length; i++) {
      const mean = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
      view.setInt16(44 + 2 * i, 32767 * Math.max(-1, Math.min(1, mean)), true);
    }
    return new File([view.buffer], "microphone.wav", { type: "audio/wav" });
  };
  const toBase64 = (file) => new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });

  // -- sliders
  const values = {};
  const slider = (name, value, { min, max, step, widest = max }) => {
    const row = made("slider");
    const [range, number] = row.querySelectorAll("input");
    find("span", row).textContent = name;
    Object.assign(range, { min, max, step });
    Object.assign(number, { min, max: widest, step: step < 1 ? "any" : step });
    range.setAttribute("aria-label", name);
    number.id = `${name}-number`;
    const set = (from) => {
      values[name] = Number(from.value);
      range.value = number.value = from.value;
    };
    for (const input of [range, number]) {
      input.addEventListener("input", () => input.checkValidity() && set(input));
    }
    set({ value });
    find(".sliders").append(row);
  };
  find(".numbers").hidden = settings.numbers === null;
  const { most } = settings;
  if (settings.iterations !== null) {
    slider("iterations", settings.iterations, { min: 1, max: most.iterations, step: 1 });
  }
  if (settings.temperature !== null) {
    slider("temperature", settings.temperature, { min: 0, max: most.temperature, step: 0.05 });
  }
  slider("seed", 0, { min: 0, max: 99, step: 1, widest: most.seed });

  // -- speaking
  const ask = async (path, options = {}) => {
    const response = await fetch(path, options).catch(() => {
      throw new Error("The server does not answer; is python -m soundstorm.bin.serve still running?");
    });
    if (!response.ok) throw new Error((await response.json()).error);
    return response;
  };
  const PARTS = { prompts: "listening to the prompts", text_to_semantic: "semantic tokens",
    soundstorm: "acoustic tokens", codec: "waveform" };
  const told = ({ state, ahead, progress }) => {
    const { segment = 1, segments = 1, part, level, iteration, iterations } = progress;
    if (state === "waiting") return [0, `waiting for ${ahead} other${ahead === 1 ? "" : "s"}`];
    const words = [segments > 1 ? `segment ${segment} of ${segments}` : "", PARTS[part] || part || "",
      level ? `level ${level} of ${iterations.length}, pass ${iteration} of ${iterations[level - 1]}` : ""];
    let share = part === "prompts" || !part ? 0 : part === "text_to_semantic" ? 0.1 : 0.95;
    if (level) {
      const sum = (counts) => counts.reduce((a, b) => a + b, 0);
      share = 0.5 + (0.45 * (sum(iterations.slice(0, level - 1)) + iteration)) / sum(iterations);
    }
    if (part !== "codec") share = (segment - 1 + share) / segments;
    return [share, words.filter(Boolean).join(" · ")];
  };
  let job = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (speak.disabled) return;
    fail("");
    speak.disabled = true;
    bar.hidden = cancel.hidden = false;
    [bar.value, status.textContent] = [0, "sending"];
    try {
      const given = voicesOf().filter((voice) => prompts.has(voice));
      const agreed = given.length > 0 && consent.checked;
      const request = { text: text.value, script: isScript(), ...values, consent: agreed, prompts: {},
        numbers: find("#numbers").checked };
      for (const voice of given) {
        const { file, words } = prompts.get(voice);
        if (file.size > 0.7 * most.bytes) throw new Error(`${file.name} is too large; cut it.`);
        request.prompts[voice] = { audio: await toBase64(file), text: words() };
      }
      const headers = { "Content-Type": "application/json" };
      const body = JSON.stringify(request);
      job = (await (await ask("/jobs", { method: "POST", headers, body })).json()).job;
      for (;;) {
        const found = await (await ask(`/jobs/${job}`)).json();
        if (found.state === "done") {
          await show(found, request);
          break;
        }
        if (found.state === "failed") throw new Error(found.error);
        if (found.state === "cancelled") break;
        [bar.value, status.textContent] = told(found);
        await new Promise((done) => setTimeout(done, 120));
      }
    } catch (reason) {
      if (job !== "cancelled") fail(reason.message);
    }
    job = null;
    speak.disabled = false;
    bar.hidden = cancel.hidden = true;
    status.textContent = "";
  });
  cancel.addEventListener("click", () => {
    if (!job) return;
    fetch(`/jobs/${job}`, { method: "DELETE" }).catch(() => {});
    job = "cancelled";
  });

  // -- results
  let current = null;
  const select = (card) => {
    if (!card) return;
    if (current) current.tabIndex = -1;
    current = card;
    card.tabIndex = 0;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  };
  const draw = async (canvas, blob) => {
    const context = new OfflineAudioContext(1, 1, 44100);
    const wave = (await context.decodeAudioData(await blob.arrayBuffer())).getChannelData(0);
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(canvas).color;
    const middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x++) {
      const part = wave.subarray((x * wave.length) / canvas.width, ((x + 1) * wave.length) / canvas.width);
      const top = part.reduce((a, b) => Math.max(a, Math.abs(b)), 0) * middle;
      pen.fillRect(x, middle - top, 1, Math.max(1, 2 * top));
    }
  };
  const show = async (found, request) => {
    const place = `/jobs/${job}`;
    const blobs = new Map();
    for (const ending of settings.formats) {
      blobs.set(ending, await (await ask(`${place}/speech${ending}`)).blob());
    }
    const card = made("result");
    const [audio, head, image] = all(["audio", ".playhead", "img"], card);
    const name = found.text.replaceAll("\n", " ");
    find(".said", card).textContent = name;
    find("small", card).textContent = `${found.duration.toFixed(1)} s`;
    card.setAttribute("aria-label", `${name}, ${found.duration.toFixed(1)} seconds`);
    image.src = `${place}/spectrogram.png`;
    audio.src = URL.createObjectURL(blobs.get(".wav"));
    const factor = (found.seconds / found.duration).toFixed(2);
    const notes = { said: name, made: `in ${found.seconds.toFixed(1)} s, real-time factor ${factor}` };
    for (const key of Object.keys(values)) notes[key] = String(request[key]);
    if (Object.keys(request.prompts).length) notes.voices = "prompted";
    for (const [key, value] of Object.entries(notes)) {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      [dt.textContent, dd.textContent] = [key, value];
      find("dl", card).append(dt, dd);
    }
    for (const [ending, blob] of blobs) {
      const link = document.createElement("a");
      link.href = ending === ".wav" ? audio.src : URL.createObjectURL(blob);
      link.textContent = ending.slice(1);
      link.download = `synthetic_speech_seed${request.seed}${ending}`;
      find(".links", card).append(link);
    }
    const follow = () => {
      if (audio.duration) head.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
      if (!audio.paused) requestAnimationFrame(follow);
    };
    audio.addEventListener("play", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
      card.classList.add("playing");
      follow();
    });
    for (const kind of ["pause", "ended"]) {
      audio.addEventListener(kind, () => card.classList.remove("playing"));
    }
    card.addEventListener("focusin", () => { current = card; });
    find(".spectrogram", card).addEventListener("click", (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      audio.currentTime = ((event.clientX - box.left) / box.width) * audio.duration;
      audio.play();
    });
    results.prepend(card);
    draw(find("canvas", card), blobs.get(".wav"));
    if (document.activeElement !== text) select(card);
    else current = card;
  };

  const move = (step) => {
    const cards = [...results.children];
    select(cards[Math.min(Math.max(cards.indexOf(current) + step, 0), cards.length - 1)]);
  };
  const play = (again) => {
    const audio = current && find("audio", current);
    if (!audio) return;
    if (again) audio.currentTime = 0;
    if (again || audio.paused) audio.play();
    else audio.pause();
  };
  const actions = { j: () => move(1), k: () => move(-1), ArrowRight: () => move(1), ArrowLeft: () => move(-1),
    " ": () => play(false), 0: () => play(true) };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return form.requestSubmit();
    if (event.key === "Escape") return job ? cancel.click() : document.activeElement.blur();
    const typing = event.target.matches("input, textarea, audio, button, a");
    if (!actions[event.key] || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  });
  paint();
  document.documentElement.dataset.ready = "true";
})();
