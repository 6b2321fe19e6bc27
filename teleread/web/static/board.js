"use strict";
// The board by keyboard, and fresh without a reload. The selection follows the case number; what somebody types stays.
(() => {
  const board = document.querySelector("[data-board]");
  if (!board) return;
  const PANELS = { l: "cases", c: "critical", h: "held", u: "undelivered", w: "gateways", p: "people", t: "horizon" };
  let chosen = null;
  let going = false;
  let stale = false;
  let fetching = false;

  const rows = () => [...board.querySelectorAll("tr[data-case]")];
  const select = (row) => {
    chosen = row.dataset.case;
    for (const other of rows()) other.setAttribute("aria-selected", String(other === row));
  };
  const move = (step) => {
    const all = rows();
    const now = all.findIndex((row) => row.dataset.case === chosen);
    const next = all[Math.max(0, Math.min(all.length - 1, now + step))];
    if (next) { select(next); next.focus(); }
  };
  const field = (name) => rows().find((row) => row.dataset.case === chosen)?.querySelector(`[name="${name}"]`)?.focus();

  board.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-case]");
    if (row) select(row);
  });
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape" && board.contains(event.target)) {
      event.target.closest("tr[data-case]")?.focus();
      return;
    }
    if (event.target.closest("input, textarea, select, button, a")) return;
    const key = event.key.toLowerCase();
    if (going) {
      going = false;
      const panel = PANELS[key] && board.querySelector(`[data-panel="${PANELS[key]}"]`);
      if (panel) { event.preventDefault(); panel.focus(); return; }
    }
    if (key === "j" || event.key === "ArrowDown") { event.preventDefault(); move(1); }
    else if (key === "k" || event.key === "ArrowUp") { event.preventDefault(); move(-1); }
    else if (key === "a") { event.preventDefault(); field("username"); }
    else if (key === "u") { event.preventDefault(); field("reason"); }
    else if (key === "g") going = true;
    else if (event.key === "Enter" && event.target.dataset.url) location.assign(event.target.dataset.url);
  });

  // Rows do not move while somebody is at a form of the board, or has begun to fill one in.
  const busy = () => board.contains(document.activeElement) && document.activeElement.closest("form") !== null
    || [...board.querySelectorAll("input[type=text]")].some((input) => input.value !== "");
  const refresh = async () => {
    if (busy() || fetching) { stale = true; return; }
    stale = false;
    fetching = true;
    try {
      const answer = await fetch(board.dataset.url, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected || busy()) { stale = answer.ok; return; }
      const text = await answer.text();
      const focused = document.activeElement;
      const panel = focused?.dataset?.panel;
      const wasRow = focused?.dataset?.case;
      const isTable = board.querySelector("[data-horizon]")?.open ?? false;
      const scroll = board.querySelector(".scroll")?.scrollTop ?? 0;
      board.innerHTML = text;
      const table = board.querySelector("[data-horizon]");
      if (table) table.open = isTable;
      const list = board.querySelector(".scroll");
      if (list) list.scrollTop = scroll;
      const row = rows().find((one) => one.dataset.case === chosen);
      if (row) { select(row); if (wasRow) row.focus(); }
      if (panel) board.querySelector(`[data-panel="${panel}"]`)?.focus();
    } catch {
      stale = true;  // the line is gone: the page says of when it is
    } finally {
      fetching = false;
    }
  };
  document.addEventListener("teleread:change", refresh);
  board.addEventListener("focusout", () => { if (stale) setTimeout(refresh); });
})();
