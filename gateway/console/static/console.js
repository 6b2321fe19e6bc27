// The pages work without this file. It adds keys, news, the live preview, drafts while typing, and the idle lock.
"use strict";

const inField = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
const composing = (event) => event.isComposing || event.keyCode === 229;

function rows() { return [...document.querySelectorAll("tr[data-row] a.lead")]; }

function moveTo(step) {
  const all = rows();
  if (!all.length) return;
  const here = all.indexOf(document.activeElement);
  const next = here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + step, 0), all.length - 1);
  all[next].focus();
}

const byKey = {
  "/": () => document.getElementById("query"),
  h: () => document.querySelector('[data-key="h"]'),
  s: () => document.querySelector('[data-key="s"]'),
  ".": () => document.querySelector("[data-news]:not([hidden])"),
};

document.addEventListener("keydown", (event) => {
  if (composing(event)) return;
  if (event.key === "Enter" && event.ctrlKey) {
    const button = document.querySelector("main .button.primary");
    if (button) { event.preventDefault(); button.click(); }
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || inField(event.target)) return;
  const key = event.key.toLowerCase();
  if (key === "j" || key === "k") { event.preventDefault(); moveTo(key === "j" ? 1 : -1); return; }
  const target = byKey[key] && byKey[key]();
  if (!target) return;
  event.preventDefault();
  if (target.tagName === "INPUT") { target.focus(); target.select(); } else target.click();
});

// News waits at a door: nothing moves under the pointer.
const list = document.querySelector("[data-version]");
if (list) {
  setInterval(async () => {
    try {
      const answer = await fetch(list.dataset.versionUrl, { headers: { "X-Background": "1" } });
      if (answer.ok && (await answer.json()).version !== list.dataset.version) {
        document.querySelector("[data-news]").hidden = false;
      }
    } catch { /* the box is restarting; the next round sees it */ }
  }, 5000);
}

// What has to be mended is where the eye and the hand go first.
const wrong = document.querySelector('main [aria-invalid="true"]');
if (wrong) wrong.focus();

// What the centre will see, live; and the draft, kept while somebody types.
const form = document.querySelector("form[data-draft]");
if (form) {
  let timer = 0;
  const note = form.querySelector("[data-draft-note]");
  const save = async () => {
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.dataset.draft, { method: "POST", body, redirect: "manual" });
      if (answer.ok) note.textContent = `${form.dataset.saved} ${(await answer.json()).saved_at}`;
    } catch { note.textContent = ""; }
  };
  form.addEventListener("input", (event) => {
    for (const copy of form.querySelectorAll(`[data-copy="${event.target.name}"]`)) copy.textContent = event.target.value;
    clearTimeout(timer);
    timer = setTimeout(save, 3000);
  });
  form.addEventListener("submit", () => clearTimeout(timer));
}

// After 15 minutes without use the names go from the screen.
const idlePage = document.body.dataset.idle;
if (idlePage) {
  const limit = 15 * 60 * 1000;
  let last = Date.now();
  for (const kind of ["keydown", "pointerdown", "input"]) addEventListener(kind, () => { last = Date.now(); }, true);
  setInterval(() => { if (Date.now() - last > limit) location.replace(idlePage); }, 5000);
}
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
