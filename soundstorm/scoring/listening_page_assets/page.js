"use strict";
(() => {
  const rows = [...document.querySelectorAll(".row")];
  const clipsOf = (row) => [...row.querySelectorAll(".clip:not([hidden])")];
  const audioOf = (clip) => clip.querySelector("audio");
  const nameOf = (clip) => clip.querySelector("figcaption").firstChild.textContent.trim();
  const status = document.querySelector(".status");
  let current = document.querySelector(".clip");

  const playing = () => document.querySelector(".clip.playing");
  const pauseOthers = (clip) => {
    for (const audio of document.querySelectorAll("audio")) {
      if (audio !== audioOf(clip)) audio.pause();
    }
  };
  const playFrom = (clip, seconds) => {
    const audio = audioOf(clip);
    const start = () => {
      audio.currentTime = Math.min(seconds, Math.max(0, audio.duration - 0.05));
      audio.play();
    };
    if (audio.readyState > 0) return start();
    audio.addEventListener("loadedmetadata", start, { once: true });
    audio.preload = "auto";
    audio.load();
  };
  // One clip is in the tab order at a time; the others are reached by the arrow keys.
  const select = (clip, { focus = true } = {}) => {
    if (!clip) return;
    if (current) current.tabIndex = -1;
    current = clip;
    clip.tabIndex = 0;
    if (focus) {
      clip.focus({ preventScroll: true });
      clip.scrollIntoView({ block: "nearest" });
      status.textContent = clip.getAttribute("aria-label");
    }
  };
  const move = (rowStep, clipStep) => {
    const row = rows.indexOf(current.closest(".row"));
    const here = clipsOf(rows[row]);
    const position = here.indexOf(current);
    const target = rows[Math.min(Math.max(row + rowStep, 0), rows.length - 1)];
    const there = clipsOf(target);
    // Systems can be missing in a row, so the one of the same name comes first.
    const same = there.find((clip) => nameOf(clip) === nameOf(current)) || there[Math.min(position, there.length - 1)];
    const next = rowStep ? same : here[Math.min(Math.max(position + clipStep, 0), here.length - 1)];
    if (!next || next === current) return;
    const active = playing();
    const seconds = active && !rowStep ? audioOf(active).currentTime : 0;
    select(next);
    if (active) playFrom(next, seconds);
  };
  const toggle = () => {
    const audio = audioOf(current);
    if (audio.paused) playFrom(current, audio.ended ? 0 : audio.currentTime);
    else audio.pause();
  };

  const actions = {
    j: () => move(1, 0), k: () => move(-1, 0), ArrowDown: () => move(1, 0), ArrowUp: () => move(-1, 0),
    ArrowRight: () => move(0, 1), ArrowLeft: () => move(0, -1), " ": toggle, 0: () => playFrom(current, 0),
  };
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    const typing = event.target.matches && event.target.matches("input, audio");
    if (!action || !current || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });

  for (const clip of document.querySelectorAll(".clip")) {
    const audio = audioOf(clip);
    const head = clip.querySelector(".playhead");
    const draw = () => {
      if (audio.duration) head.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
      if (!audio.paused) requestAnimationFrame(draw);
    };
    audio.addEventListener("play", () => {
      pauseOthers(clip);
      clip.classList.add("playing");
      select(clip, { focus: false });
      draw();
    });
    for (const name of ["pause", "ended"]) audio.addEventListener(name, () => clip.classList.remove("playing"));
    clip.addEventListener("focusin", () => select(clip, { focus: false }));
    clip.querySelector(".spectrogram").addEventListener("click", (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      select(clip);
      if (audio.readyState > 0) return playFrom(clip, share * audio.duration);
      audio.addEventListener("loadedmetadata", () => playFrom(clip, share * audio.duration), { once: true });
      audio.preload = "auto";
      audio.load();
    });
  }

  // A box for each system hides its column.
  const names = [...new Set([...document.querySelectorAll(".clip")].map(nameOf))];
  const group = document.querySelector(".systems");
  for (const name of names.length > 1 ? names : []) {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      for (const clip of document.querySelectorAll(".clip")) {
        if (nameOf(clip) === name) {
          clip.hidden = !box.checked;
          if (clip.hidden) audioOf(clip).pause();
        }
      }
      if (current && current.hidden) select(document.querySelector(".clip:not([hidden])"), { focus: false });
    });
    label.append(box, name);
    group.append(label);
  }
  if (current) current.tabIndex = 0;
  document.documentElement.dataset.ready = "true";
})();
