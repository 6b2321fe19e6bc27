"use strict";
// The list by keyboard, and live: what a row says changes in place; rows come and go only by the door.
(() => {
  const list = document.querySelector("[data-list]");
  const area = document.querySelector(".list");
  const previews = document.querySelector("[data-previews]");
  const door = document.querySelector("[data-door]");
  const said = document.querySelector("[data-said]");
  const KEY = "teleread:selected", SCROLL = "teleread:worklist-scroll";
  const STILL_MS = 5000, SOON_MS = 250, EVERY_MS = 30000;
  const rows = (root = list) => [...root.querySelectorAll("tr[data-case]")];
  const selected = () => rows().find((row) => row.getAttribute("aria-selected") === "true");

  const select = (row, focus) => {
    for (const other of rows()) other.setAttribute("aria-selected", String(other === row));
    for (const preview of previews.querySelectorAll("[data-preview]")) preview.hidden = preview.dataset.preview !== row.dataset.case;
    const empty = previews.querySelector("[data-preview-empty]");
    if (empty) empty.hidden = true;
    sessionStorage.setItem(KEY, row.dataset.case);
    if (focus) row.focus();
  };
  const move = (step) => {
    const all = rows();
    const now = all.indexOf(selected());
    const next = all[Math.max(0, Math.min(all.length - 1, now + step))];
    if (next) select(next, true);
  };
  const rowOf = (event) => event.target.closest?.("tr[data-case]");
  list.addEventListener("focusin", (event) => { const row = rowOf(event); if (row && row !== selected()) select(row, false); });
  list.addEventListener("click", (event) => { const row = rowOf(event); if (row && !event.target.closest("a")) select(row, true); });
  list.addEventListener("dblclick", (event) => { const row = rowOf(event); if (row) location.assign(row.dataset.url); });
  const togglePreview = () => previews.classList.toggle("open");
  document.querySelector("[data-preview-toggle]").addEventListener("click", togglePreview);

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.altKey || event.ctrlKey || event.metaKey) return;
    if (document.querySelector("dialog[open]") || event.target.closest("input, textarea, select")) return;
    const isLetter = /^[jk]$/i.test(event.key);
    if (isLetter && localStorage.getItem("teleread:letters-off")) return;
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[isLetter ? event.key.toLowerCase() : event.key];
    if (step !== undefined) { move(step); event.preventDefault(); return; }
    if (event.target.closest("button, a, summary")) return;
    if (event.key === "Enter") { const row = selected(); if (row) location.assign(row.dataset.url); }
    else if (event.key === " ") { togglePreview(); event.preventDefault(); }
    else if (event.key === "Escape") previews.classList.remove("open");
  });

  // Live
  let fresh = null, timer = 0, asking = false, again = false, touched = Date.now(), over = false;
  for (const name of ["pointerenter", "pointermove", "wheel"]) area.addEventListener(name, () => { over = true; touched = Date.now(); }, { passive: true });
  area.addEventListener("pointerleave", () => { over = false; touched = Date.now(); });
  const isStill = () => !over && !list.contains(document.activeElement) && !document.querySelector("dialog[open]") && Date.now() - touched >= STILL_MS;

  const copy = (from, to) => { if (from && to && from.innerHTML !== to.innerHTML) to.replaceChildren(...[...from.childNodes].map((node) => document.importNode(node, true))); };
  const strike = (row, words) => {
    row.classList.add("gone");
    const cell = row.querySelector('[data-part="state"]');
    const note = Object.assign(document.createElement("span"), { className: "second", textContent: words });
    cell.querySelector(".second")?.remove();
    cell.append(note);
  };
  const inPlace = (page) => {
    const now = new Map(rows(page).map((row) => [row.dataset.case, row]));
    const shown = new Map(rows().map((row) => [row.dataset.case, row]));
    let gone = 0;
    for (const [number, row] of shown) {
      const other = now.get(number);
      if (!other) {
        gone += 1;
        if (!row.classList.contains("gone")) strike(row, list.dataset.left);
        continue;
      }
      const was = row.dataset.state;
      row.classList.remove("gone");
      for (const part of ["time", "images", "state"]) copy(other.querySelector(`[data-part="${part}"]`), row.querySelector(`[data-part="${part}"]`));
      Object.assign(row.dataset, { state: other.dataset.state, who: other.dataset.who });
      row.toggleAttribute("data-mine", other.hasAttribute("data-mine"));
      if (was !== row.dataset.state) {
        const isTaken = was === "ready" && ["assigned", "reading"].includes(row.dataset.state) && !row.hasAttribute("data-mine");
        row.classList.toggle("taken", isTaken || (row.classList.contains("taken") && row.dataset.state !== "ready"));
      }
      if (row.classList.contains("taken") && row.dataset.who) strike(row, list.dataset.taken.replace("{name}", row.dataset.who));
      const preview = previews.querySelector(`[data-preview="${number}"]`), newer = page.querySelector(`[data-preview="${number}"]`);
      // A control that has the focus is not taken away.
      if (preview && newer && !preview.contains(document.activeElement)) copy(newer, preview);
    }
    const come = [...now.keys()].filter((number) => !shown.has(number)).length;
    const common = (all, others) => [...all.keys()].filter((number) => others.has(number)).join();
    const moved = common(now, shown) !== common(shown, now) ? 1 : 0;
    return { come, changed: gone + moved };
  };
  const aside = (page) => {
    const counts = page.querySelectorAll(".rail .count");
    const own = document.querySelectorAll(".rail .count");
    if (counts.length === own.length) own.forEach((cell, at) => { cell.textContent = counts[at].textContent; });
    for (const cell of document.querySelectorAll("[data-live-cell]")) copy(page.querySelector(`[data-live-cell="${cell.dataset.liveCell}"]`), cell);
    const link = document.querySelector("[data-live-link]"), newer = page.querySelector("[data-live-link]");
    if (link && newer) { link.href = newer.href; link.hidden = newer.hidden; }
  };
  const takeIn = () => {
    if (!fresh) return;
    const focused = list.contains(document.activeElement) ? document.activeElement.closest("tr[data-case]")?.dataset.case : null;
    copy(fresh.querySelector("[data-list]"), list);
    copy(fresh.querySelector("[data-previews]"), previews);
    const rail = fresh.querySelector(".rail");
    if (!document.querySelector(".rail").contains(document.activeElement)) copy(rail, document.querySelector(".rail"));
    fresh = null;
    door.hidden = true;
    const kept = rows().find((row) => row.dataset.case === sessionStorage.getItem(KEY)) ?? rows()[0];
    if (kept) select(kept, focused !== null);
    said.textContent = door.dataset.done;
  };
  const wait = (news) => {
    door.hidden = !news.come && !news.changed;
    if (door.hidden) { fresh = null; return; }
    door.querySelector("[data-door-words]").textContent = door.dataset.words.replace("{new}", news.come).replace("{changed}", news.changed);
    if (isStill()) takeIn();
  };
  const look = async () => {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { "Teleread-Background": "1", Accept: "text/html" }, cache: "no-store" });
      if (answer.ok && !answer.redirected) {
        fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (fresh.querySelector("[data-list]")) { aside(fresh); wait(inPlace(fresh)); }
      }
    } catch { /* The mark tells that the line is gone; the next look follows. */ }
    asking = false;
    if (again) { again = false; soon(); }
  };
  const soon = () => { clearTimeout(timer); timer = setTimeout(look, SOON_MS); };
  door.addEventListener("click", takeIn);
  document.addEventListener("teleread:change", soon);
  setInterval(() => { if (fresh && !door.hidden && isStill()) takeIn(); }, 1000);
  setInterval(look, EVERY_MS);
  addEventListener("pageshow", (event) => { if (event.persisted) look(); });

  const kept = rows().find((row) => row.dataset.case === sessionStorage.getItem(KEY)) ?? rows()[0];
  if (kept) select(kept, false);
  area.scrollTop = Number(sessionStorage.getItem(SCROLL));
  // Kept while scrolling, not on leaving: what sign-out has forgotten must not be written again.
  area.addEventListener("scroll", () => sessionStorage.setItem(SCROLL, String(area.scrollTop)), { passive: true });
})();
