"use strict";
// Nobody at the keyboard: the page hides itself and the centre asks for both factors again. What was typed stays in the
// tab's own store. All tabs of a browser count as one keyboard; so does a frame of ours, such as the viewer's.
// A page whose session ended elsewhere hides itself too: it asks when it is looked at, and now and then.
(() => {
  const { seconds, url, session, here, icons, texts: words } = document.currentScript.dataset;
  const texts = JSON.parse(words);
  const KEY = "teleread:active";
  const ACTS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"];
  const NOTE_MS = 1000;
  const ASK_MS = 20000;
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
  const hide = (title, text) => {
    locked = true;
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
    heading.textContent = texts[title];
    const line = document.createElement("p");
    line.textContent = texts[text];
    const link = document.createElement("a");
    link.className = "button primary";
    // To this very page: the centre asks for the sign-in, unless another tab has done it meanwhile.
    link.href = here;
    link.textContent = texts["sign_in.act"];
    panel.append(sign, heading, line, link);
    document.body.append(panel);
    document.documentElement.classList.add("locked");
    link.focus();
  };
  const lock = () => {
    hide("idle.title", "idle.text");
    fetch(url, { method: "POST", keepalive: true, credentials: "same-origin", headers: { "X-CSRFToken": token } }).catch(() => {});
  };
  let askedAt = Date.now();
  const ask = async () => {
    if (locked || Date.now() - askedAt < NOTE_MS) return;
    askedAt = Date.now();
    try {
      const answer = await fetch(session, { cache: "no-store", headers: { Accept: "application/json", "Teleread-Background": "1" } });
      if (answer.status !== 401 || locked) return;
      const body = await answer.json();
      hide("ended.title", body.error === "signed_in_elsewhere" ? "ended.elsewhere" : "ended.text");
    } catch { /* The line is gone; what is on the page stays until it can be asked. */ }
  };

  localStorage.setItem(KEY, String(active));
  watch(window);
  for (const frame of document.querySelectorAll("iframe")) {
    frame.addEventListener("load", () => {
      try { watch(frame.contentWindow); } catch { /* a frame that is not ours is not listened to */ }
    });
  }
  addEventListener("focus", ask);
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") ask(); });
  setInterval(ask, ASK_MS);
  // By the clock and not by one long timer: a machine that slept is idle when it wakes.
  setInterval(() => {
    if (locked) return;
    const newest = Math.max(active, Number(localStorage.getItem(KEY)) || 0);
    if (Date.now() - newest >= limit) lock();
  }, Math.min(5000, limit / 4));
})();
