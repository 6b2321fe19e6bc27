"use strict";
// Nobody at the keyboard: the page hides itself and the centre asks for both factors again. What was typed stays in the
// tab's own store. All tabs of a browser count as one keyboard; so does a frame of ours, such as the viewer's.
(() => {
  const { seconds, url, signIn, title, text, act, icons } = document.currentScript.dataset;
  const KEY = "teleread:active";
  const ACTS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"];
  const NOTE_MS = 1000;
  const limit = Number(seconds) * 1000;
  const token = document.querySelector('meta[name="csrf-token"]').content;
  let active = Date.now();
  let locked = false;

  const note = () => {
    const now = Date.now();
    if (locked || now - active < NOTE_MS) return;
    active = now;
    localStorage.setItem(KEY, String(now));
  };
  const watch = (place) => { for (const name of ACTS) place.addEventListener(name, note, { capture: true, passive: true }); };
  const lock = () => {
    locked = true;
    document.dispatchEvent(new Event("teleread:lock"));
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    const panel = document.createElement("main");
    panel.className = "lock-panel";
    const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
    const sign = svg("svg"), use = svg("use");
    sign.setAttribute("class", "icon");
    sign.setAttribute("viewBox", "0 0 16 16");
    sign.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `${icons}#lock`);
    sign.append(use);
    const heading = document.createElement("h1");
    heading.textContent = title;
    const words = document.createElement("p");
    words.textContent = text;
    const link = document.createElement("a");
    link.className = "button primary";
    link.href = signIn;
    link.textContent = act;
    panel.append(sign, heading, words, link);
    document.body.append(panel);
    document.documentElement.classList.add("locked");
    link.focus();
    fetch(url, { method: "POST", keepalive: true, credentials: "same-origin", headers: { "X-CSRFToken": token } }).catch(() => {});
  };

  localStorage.setItem(KEY, String(active));
  watch(window);
  for (const frame of document.querySelectorAll("iframe")) {
    frame.addEventListener("load", () => {
      try { watch(frame.contentWindow); } catch { /* a frame that is not ours is not listened to */ }
    });
  }
  // By the clock and not by one long timer: a machine that slept is idle when it wakes.
  setInterval(() => {
    if (locked) return;
    const newest = Math.max(active, Number(localStorage.getItem(KEY)) || 0);
    if (Date.now() - newest >= limit) lock();
  }, Math.min(5000, limit / 4));
})();
