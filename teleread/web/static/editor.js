"use strict";
// The report editor. What is typed is in three places: the field, the tab's own store at every key, and
// the centre within five seconds. A newer revision is shown beside one's own and never overwritten.
(() => {
  const form = document.querySelector("[data-editor]");
  if (!form) return;
  const WAIT_MS = 1500;
  const LONGEST_MS = 4500;
  const RETRY_MS = 5000;
  const texts = JSON.parse(form.dataset.texts);
  const limit = Number(form.dataset.limit);
  const key = `teleread:draft:${form.dataset.user}:${form.dataset.case}`;
  const known = `teleread:revision:${form.dataset.user}:${form.dataset.case}`;
  const fields = [...form.querySelectorAll("textarea")];
  const saved = document.querySelector("[data-saved]");
  const banner = document.querySelector("[data-banner]");
  const conflict = document.querySelector("[data-conflict]");
  const review = document.querySelector("[data-review]");
  const token = document.querySelector('meta[name="csrf-token"]').content;
  let revision = Number(form.dataset.revision);
  const asServed = Object.fromEntries(fields.map((field) => [field.name, field.defaultValue]));
  let onServer = JSON.stringify(asServed);
  let timer = null;
  let firstChangeAt = null;
  let inFlight = null;
  let newest = null;
  let signedOut = false;

  function sections() {
    return Object.fromEntries(fields.map((field) => [field.name, field.value]));
  }
  function fill(values) {
    for (const field of fields) field.value = values[field.name] ?? "";
  }
  const isDirty = () => JSON.stringify(sections()) !== onServer;
  const say = (words) => { saved.textContent = words; };
  const warn = (words, link) => {
    banner.hidden = !words;
    banner.querySelector("[data-banner-text]").textContent = words;
    banner.querySelector("[data-banner-link]").hidden = !link;
  };
  const keep = () => {
    try {
      if (isDirty()) sessionStorage.setItem(key, JSON.stringify({ base_revision: revision, sections: sections() }));
      else sessionStorage.removeItem(key);
    } catch {
      // The tab's store is full; what it held of this case is older than the field.
      warn(texts["save.not_kept"], false);
    }
  };
  const nameOf = (field) => form.querySelector(`label[for="${field.id}"]`).firstChild.textContent;
  // Characters as the centre counts them: a pair of surrogates is one.
  const lengthOf = (value) => { let count = 0; for (const _ of value) count += 1; return count; };
  const isTooLong = (field) => field.value.length > limit && lengthOf(field.value) > limit;
  // Each section says by itself that it is too long; nothing is cut, and nothing of the report is sent.
  const measure = () => {
    let first = null;
    for (const field of fields) {
      const line = document.getElementById(`length-${field.name}`);
      const bad = isTooLong(field);
      const words = bad ? texts["save.too_long_named"].replace("{limit}", limit.toLocaleString("en"))
        .replace("{section}", nameOf(field)).replace("{count}", lengthOf(field.value).toLocaleString("en")) : "";
      line.textContent = words;
      line.hidden = !bad;
      if (bad) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
      if (bad) first ??= field;
    }
    return first;
  };
  // The report's typeface has no shape for these; said below the section while there is time to choose another sign.
  const lack = (missing) => {
    for (const field of fields) {
      const line = document.getElementById(`missing-${field.name}`);
      const characters = missing[field.name];
      line.textContent = characters ? texts["save.missing"].replace("{characters}", characters) : "";
      line.hidden = !characters;
    }
  };
  const lines = (values) => fields.filter((field) => values[field.name])
    .map((field) => `${nameOf(field)}\n${values[field.name]}`).join("\n\n");
  const showConflict = (theirs) => {
    newest = theirs;
    conflict.hidden = false;
    conflict.querySelector("[data-conflict-mine]").textContent = lines(sections());
    conflict.querySelector("[data-conflict-theirs]").textContent = lines(theirs.sections);
  };
  const schedule = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(() => { save(); }, wait);
  };

  async function send(leaving) {
    const sent = JSON.stringify(sections());
    say(texts["save.saving"]);
    let answer;
    try {
      answer = await fetch(form.dataset.url, {
        method: "POST", keepalive: leaving, credentials: "same-origin",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": token },
        body: `{"base_revision":${revision},"sections":${sent}}`,
      });
    } catch {
      warn(texts["save.offline"], false);
      say(texts["save.unsaved"]);
      schedule(RETRY_MS);
      return false;
    }
    const body = await answer.json().catch(() => ({}));
    // The page before this one may have sent the very same text while it was left.
    const sameThere = answer.status === 409 && body.newest && sent === JSON.stringify(
      Object.fromEntries(fields.map((field) => [field.name, body.newest.sections[field.name] ?? ""])));
    if (answer.ok || sameThere) {
      revision = sameThere ? body.newest.revision : body.revision;
      try { sessionStorage.setItem(known, String(revision)); } catch { /* full; see keep */ }
      onServer = sent;
      firstChangeAt = null;
      review.elements.revision.value = String(revision);
      warn("", false);
      lack(body.missing ?? {});
      keep();
      say(texts["save.saved"].replace("{time}", body.saved ?? body.newest.saved));
      if (isDirty()) schedule(WAIT_MS);
      return true;
    }
    say(texts["save.unsaved"]);
    if (answer.status === 401) {
      signedOut = true;
      warn(texts[body.error === "signed_in_elsewhere" ? "save.elsewhere" : "save.signed_out"], true);
    } else if (answer.status === 409 && body.newest) {
      showConflict(body.newest);
    } else if (answer.status >= 500 || answer.status === 429) {
      warn(texts["save.offline"], false);
      schedule(RETRY_MS);
    } else {
      warn(texts["save.refused"].replace("{message}", body.message ?? String(answer.status)), false);
    }
    return false;
  }
  async function save(leaving = false) {
    clearTimeout(timer);
    if (!isDirty()) return true;
    if (newest !== null || signedOut) return false;
    if (measure()) return false;
    if (inFlight) {
      await inFlight;
      return save(leaving);
    }
    inFlight = send(leaving);
    try { return await inFlight; } finally { inFlight = null; }
  }

  form.addEventListener("input", () => {
    keep();
    measure();
    if (!isDirty()) return;
    say(texts["save.unsaved"]);
    firstChangeAt ??= Date.now();
    schedule(Math.max(0, Math.min(WAIT_MS, firstChangeAt + LONGEST_MS - Date.now())));
  });
  form.addEventListener("focusout", () => { save(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") save(true); });
  window.addEventListener("online", () => { save(); });
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.ctrlKey && event.key === "Enter") { event.preventDefault(); review.requestSubmit(); }
    if (event.altKey && event.code === "KeyW") { event.preventDefault(); form.elements.findings.focus(); }
  });
  review.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await save()) {
      review.elements.revision.value = String(revision);
      review.submit();
    } else {
      measure()?.focus();
    }
  });
  conflict.querySelector("[data-keep-mine]").addEventListener("click", () => {
    revision = newest.revision;
    newest = null;
    conflict.hidden = true;
    save();
  });
  conflict.querySelector("[data-take-theirs]").addEventListener("click", () => {
    fill(newest.sections);
    revision = newest.revision;
    onServer = JSON.stringify(sections());
    newest = null;
    conflict.hidden = true;
    review.elements.revision.value = String(revision);
    keep();
  });

  // The page can be typed into before this script runs: what differs from the centre's text was typed since.
  const early = fields.filter((field) => field.value !== field.defaultValue);
  // A page that was asked for while a save was on its way may be older than what this tab saved: ask once more.
  const savedBefore = Number(sessionStorage.getItem(known));
  sessionStorage.removeItem(known);
  if (savedBefore > revision && early.length === 0) { location.reload(); return; }

  const stored = sessionStorage.getItem(key);
  if (stored === null) {
    keep();
    save();
  } else {
    const mine = JSON.parse(stored);
    const theirs = { revision, sections: asServed };
    for (const field of early) mine.sections[field.name] = field.value;
    fill(mine.sections);
    if (isDirty()) {
      if (mine.base_revision === revision) {
        warn(texts["save.restored"], false);
        save().then((good) => { if (good) warn(texts["save.restored"], false); });
      } else {
        showConflict(theirs);
      }
    }
    keep();
  }
})();
