"use strict";
// Keys of any page: a control with `data-key` is pressed by that key while it can be seen, and `?` lists them all.
// `data-key` is one sign ("N", "/", "."), or "Alt+K" and "Ctrl+Enter", which also work in fields.
// `data-key-list` only lists a key that the page's own script takes; `data-key-text` says what it does.
(() => {
  const { title, close, letters } = document.currentScript.dataset;
  const OFF = "teleread:letters-off";
  let sheet = null;
  const isField = (target) => target.closest?.("input:not([type=checkbox],[type=radio],[type=submit]), textarea, select, [contenteditable]");
  const isSeen = (control) => !control.disabled && control.getClientRects().length > 0;

  const open = () => {
    sheet?.remove();
    sheet = document.createElement("dialog");
    sheet.className = "key-sheet";
    sheet.setAttribute("aria-label", title);
    const head = document.createElement("h2");
    head.textContent = title;
    const list = document.createElement("dl");
    const seen = new Set();
    for (const control of document.querySelectorAll("[data-key], [data-key-list]")) {
      const keys = control.dataset.key ?? control.dataset.keyList;
      if (seen.has(keys) || (control.dataset.key && !isSeen(control))) continue;
      seen.add(keys);
      const term = document.createElement("dt"), said = document.createElement("dd");
      for (const key of keys.split(" ")) term.append(Object.assign(document.createElement("kbd"), { textContent: key }), " ");
      said.textContent = control.dataset.keyText ?? control.getAttribute("aria-label") ?? control.textContent.trim();
      list.append(term, said);
    }
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = !localStorage.getItem(OFF);
    box.addEventListener("change", () => (box.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
    label.append(box, ` ${letters}`);
    const form = document.createElement("form"), button = document.createElement("button");
    form.method = "dialog";
    button.className = "button";
    button.textContent = close;
    form.append(button);
    sheet.append(head, list, label, form);
    document.body.append(sheet);
    sheet.showModal();
  };

  const press = (control) => {
    if (control.matches("input, textarea, select")) { control.focus(); control.select?.(); }
    else control.click();
  };
  const matches = (event, key) => {
    const parts = key.split("+");
    const last = parts.length > 1 ? parts.pop() : key;
    const wantsAlt = key.startsWith("Alt+"), wantsCtrl = key.startsWith("Ctrl+");
    if (event.getModifierState("AltGraph") || event.metaKey || event.altKey !== wantsAlt || event.ctrlKey !== wantsCtrl) return false;
    // With Alt some keyboards write another sign; the place of the key counts then.
    if (wantsAlt && last.length === 1) return event.code === `Key${last}`;
    return event.key.toLowerCase() === last.toLowerCase() && (last.length > 1 || !event.shiftKey || !/[a-z]/i.test(last));
  };

  for (const control of document.querySelectorAll("[data-keys-open]")) control.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    // While kana are composed every key belongs to the conversion.
    if (event.defaultPrevented || event.isComposing || event.keyCode === 229 || event.repeat) return;
    if (document.querySelector("dialog[open]")) return;
    for (const control of document.querySelectorAll("[data-key]")) {
      const key = control.dataset.key;
      if (!matches(event, key)) continue;
      const isPlain = !key.includes("+") || key === "+";
      if (isPlain && (isField(event.target) || (key !== "?" && localStorage.getItem(OFF)))) continue;
      if (!isSeen(control)) continue;
      event.preventDefault();
      press(control);
      return;
    }
  });
})();
