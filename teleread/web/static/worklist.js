"use strict";
// The list by keyboard: the selection follows the case number and survives a reload.
(() => {
  const table = document.querySelector("[data-worklist]");
  const rows = table ? [...table.querySelectorAll("tr[data-case]")] : [];
  const KEY = "teleread:selected";

  const select = (row, focus) => {
    for (const other of rows) other.setAttribute("aria-selected", String(other === row));
    for (const preview of document.querySelectorAll("[data-preview]")) preview.hidden = preview.dataset.preview !== row.dataset.case;
    const empty = document.querySelector("[data-preview-empty]");
    if (empty) empty.hidden = true;
    sessionStorage.setItem(KEY, row.dataset.case);
    if (focus) row.focus();
  };
  const move = (step) => {
    const now = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
    const next = rows[Math.max(0, Math.min(rows.length - 1, now + step))];
    if (next) select(next, true);
  };
  for (const row of rows) {
    row.addEventListener("focus", () => select(row, false));
    row.addEventListener("click", (event) => { if (!event.target.closest("a")) select(row, true); });
    row.addEventListener("dblclick", () => location.assign(row.dataset.url));
  }
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("input, textarea, select, button, a")) return;
    if (event.key === "j" || event.key === "ArrowDown") { move(1); event.preventDefault(); }
    else if (event.key === "k" || event.key === "ArrowUp") { move(-1); event.preventDefault(); }
    else if (event.key === "Home") { move(-rows.length); event.preventDefault(); }
    else if (event.key === "End") { move(rows.length); event.preventDefault(); }
    else if (event.key === "Enter") {
      const row = rows.find((one) => one.getAttribute("aria-selected") === "true");
      if (row) location.assign(row.dataset.url);
    } else if (/^[1-9]$/.test(event.key)) {
      document.querySelector(`.rail a[data-key="${event.key}"]`)?.click();
    }
  });
  const kept = rows.find((row) => row.dataset.case === sessionStorage.getItem(KEY)) ?? rows[0];
  if (kept) select(kept, false);
})();
