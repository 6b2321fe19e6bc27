"use strict";
// The image pane: series, wheel, arrow keys, window presets. Frames come as PNG from the centre and
// stay in memory only; neighbours are fetched ahead.
(() => {
  const viewer = document.querySelector("[data-viewer]");
  const canvas = document.querySelector("[data-canvas]");
  if (!viewer || !canvas) return;
  const stage = viewer.querySelector("[data-stage]");
  const said = viewer.querySelector("[data-said]");
  const context = canvas.getContext("2d", { alpha: false });
  const buttons = [...viewer.querySelectorAll("[data-series]")];
  const presets = [...viewer.querySelectorAll("[data-preset]")];
  const AHEAD = 4;
  const KEPT = 240;
  const kept = new Map();
  let frames = [];
  let shownOne = false;
  let index = 0;
  let window_ = { center: "", width: "" };

  const address = (frame) => {
    const query = window_.center === "" ? "" : `?center=${window_.center}&width=${window_.width}`;
    return `${frame}${query}`;
  };
  const load = (frame) => {
    const url = address(frame);
    if (!kept.has(url)) {
      if (kept.size >= KEPT) kept.delete(kept.keys().next().value);
      const picture = fetch(url, { headers: { Accept: "image/png" } }).then(async (answer) => {
        if (!answer.ok) throw new Error(String(answer.status));
        return createImageBitmap(await answer.blob());
      });
      picture.catch(() => kept.delete(url));
      kept.set(url, picture);
    }
    return kept.get(url);
  };
  const show = async () => {
    const wanted = frames[index];
    if (wanted === undefined) return;
    viewer.querySelector("[data-position]").textContent = `${index + 1} / ${frames.length}`;
    viewer.querySelector("[data-window]").textContent = window_.center === "" ? "" : `W ${window_.width} L ${window_.center}`;
    const url = address(wanted);
    try {
      const picture = await load(wanted);
      if (frames[index] !== wanted || address(wanted) !== url) return;
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      context.drawImage(picture, 0, 0);
      said.textContent = "";
      shownOne = true;
      canvas.dataset.shown = wanted;
    } catch (fault) {
      if (frames[index] !== wanted || address(wanted) !== url) return;
      context.fillRect(0, 0, canvas.width, canvas.height);
      // 404 is the centre's word for a frame that no decoder of ours can read; anything else may pass.
      if (fault.message !== "404") said.textContent = viewer.dataset.line;
      else said.textContent = shownOne ? `${viewer.dataset.cannot} ${viewer.dataset.othersCan}` : viewer.dataset.cannot;
      delete canvas.dataset.shown;
    }
    for (let step = 1; step <= AHEAD; step += 1) {
      for (const near of [frames[index + step], frames[index - step]]) {
        if (near !== undefined) load(near).catch(() => undefined);
      }
    }
  };
  const go = (to) => {
    const next = Math.max(0, Math.min(frames.length - 1, to));
    if (next !== index) { index = next; show(); }
  };
  const open = (button) => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    frames = JSON.parse(button.dataset.frames);
    shownOne = false;
    index = Math.floor((frames.length - 1) / 2);
    viewer.querySelector("[data-series-name]").textContent = button.dataset.name;
    show();
  };
  const choose = (button) => {
    for (const other of presets) other.setAttribute("aria-pressed", String(other === button));
    window_ = { center: button.dataset.center, width: button.dataset.width };
    show();
  };

  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    turned += event.deltaMode === 0 ? event.deltaY / 40 : event.deltaY;
    const steps = Math.trunc(turned);
    if (steps !== 0) { turned -= steps; go(index + Math.sign(steps) * Math.min(Math.abs(steps), 10)); }
  }, { passive: false });
  const KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  stage.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in KEYS) {
      const step = KEYS[event.key];
      go(Number.isFinite(step) ? index + step : (step > 0 ? frames.length - 1 : 0));
      event.preventDefault();
    } else if (/^[1-9]$/.test(event.key)) {
      const preset = presets[Number(event.key) - 1];
      if (preset) choose(preset);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey && event.code === "KeyI") { stage.focus(); event.preventDefault(); }
  });
  for (const button of buttons) button.addEventListener("click", () => open(button));
  for (const button of presets) button.addEventListener("click", () => choose(button));
  if (buttons.length > 0) {
    // The longest series is the one to read first; a scout is one or two images.
    open(buttons.reduce((best, one) => (JSON.parse(one.dataset.frames).length > JSON.parse(best.dataset.frames).length ? one : best)));
  }
})();
