"use strict";
// Images and report of one case. The report stays shut until the viewer has drawn an image of the case's own
// study; an image of any other study covers the viewer and shuts the report. What the viewer says is believed
// only when it comes from this very frame, from our own origin and with this case's number.
(() => {
  const section = document.querySelector("[data-case-viewer]");
  if (!section) return;
  const ANSWER_MS = 1000;
  const PATIENCE_MS = 20000;
  const SETTLED_MS = 3000;
  const { case: caseNumber, study, url } = section.dataset;
  const allowed = new Set(section.dataset.studies.split(" "));
  const held = Number(section.dataset.frames);
  const texts = JSON.parse(section.dataset.texts);
  const frame = section.querySelector("iframe");
  const cover = section.querySelector("[data-cover]");
  const said = section.querySelector("[data-images-said]");
  const faults = section.querySelector("[data-images-faults]");
  const keysGo = section.querySelector("[data-keys-go]");
  const without = section.querySelector("[data-without-images]");
  const editor = document.querySelector("[data-editor]");
  const review = document.querySelector("[data-review]");
  const doubt = document.querySelector("[data-doubt]");
  const waiting = new Map();
  let nextQuestion = 1;
  let isCovered = false;
  let isChecked = false;
  let failures = "";
  let shortfall = "";
  let silence = "";
  let settledTimer = null;

  const say = (key, facts = {}) => Object.entries(facts).reduce((words, [name, value]) => words.replaceAll(`{${name}}`, value), texts[key]);
  const lock = (isShut) => { for (const field of editor?.querySelectorAll("textarea") ?? []) field.readOnly = isShut; };
  const unlock = () => {
    if (isCovered) return;
    lock(false);
    section.dataset.state = "shown";
    without.hidden = true;
    silence = "";
    showFaults();
  };
  function coverUp(key) {
    isCovered = true;
    section.dataset.state = "covered";
    cover.hidden = false;
    cover.querySelector("[data-cover-text]").textContent = say(key);
    lock(true);
  }
  function check(studies) {
    if (studies.some((one) => one && !allowed.has(one))) coverUp("viewer.other_study");
    return !isCovered;
  }
  function showFaults() {
    faults.textContent = [silence, failures, shortfall].filter(Boolean).join(" ");
    faults.hidden = !faults.textContent;
  }

  const HEARD = {
    ready() { section.dataset.state = "ready"; },
    displaysets(facts) {
      if (!check(facts.sets.map((set) => set.study))) return;
      clearTimeout(settledTimer);
      settledTimer = setTimeout(() => {
        shortfall = facts.frames < held ? say("viewer.fewer", { shown: facts.frames, held }) : "";
        showFaults();
      }, SETTLED_MS);
    },
    shown(facts) {
      if (check([facts.study, ...facts.sets.map((set) => set.study)]) && facts.study === study) unlock();
    },
    progress(facts) {
      if (facts.of > 0) said.textContent = facts.loaded < facts.of ? say("viewer.loading", { loaded: facts.loaded, of: facts.of }) : say("viewer.loaded", { of: facts.of });
    },
    "load-failed"(facts) {
      const numbers = facts.instances.filter((number) => number !== null);
      failures = say(numbers.length ? "viewer.failed_named" : "viewer.failed", { failed: facts.failed, held, numbers: numbers.join(", ") });
      showFaults();
    },
    "data-failed"(facts) {
      // One image that fails is named by itself; this is about a centre that sends nothing, or nothing more.
      if (facts.status === 401) silence = say("viewer.signed_out");
      else if (section.dataset.state !== "shown") silence = say("viewer.no_answer");
      showFaults();
      without.hidden = section.dataset.state === "shown";
    },
    state(facts) {
      check(facts.studies);
      waiting.get(facts.id)?.(facts);
      waiting.delete(facts.id);
    },
    focus(facts) { keysGo.textContent = say(facts.inside ? "viewer.keys_images" : "viewer.keys_report"); },
    key(facts) {
      // The page's own listeners do the rest, as if the key had been pressed here.
      const letter = facts.key.startsWith("Alt+") ? facts.key.slice(4) : "";
      const init = letter ? { altKey: true, code: `Key${letter}`, key: letter.toLowerCase() } : { ctrlKey: true, code: "Enter", key: "Enter" };
      document.dispatchEvent(new KeyboardEvent("keydown", { ...init, bubbles: true, cancelable: true }));
    },
  };
  window.addEventListener("message", (event) => {
    if (event.origin !== location.origin || event.source !== frame.contentWindow || event.data?.teleread !== 1) return;
    if (event.data.case !== caseNumber) {
      coverUp("viewer.other_case");
      return;
    }
    HEARD[event.data.kind]?.(event.data);
  });

  // What the viewer shows now, or null when it does not answer in time.
  function ask() {
    const id = nextQuestion;
    nextQuestion += 1;
    return new Promise((answer) => {
      waiting.set(id, answer);
      setTimeout(() => { waiting.delete(id); answer(null); }, ANSWER_MS);
      frame.contentWindow?.postMessage({ teleread: 1, case: caseNumber, kind: "state", id }, location.origin);
    });
  }
  function doubts(state) {
    if (!state?.ready) return ["viewer.doubt_silent"];
    const found = [];
    if (!state.drawn.includes(study)) found.push("viewer.doubt_not_shown");
    if (state.failed) found.push("viewer.doubt_failed");
    return found;
  }
  function fill(state, confirmed) {
    const fields = review.elements;
    fields.shown_answered.value = state?.ready ? "1" : "0";
    // A study that has no place here counts as soon as it is chosen, the case's own only once it is drawn.
    fields.shown_studies.value = [...(state?.drawn ?? []), ...(state?.studies ?? []).filter((one) => !allowed.has(one))].join(" ");
    fields.shown_failed.value = String(state?.failed ?? 0);
    fields.shown_confirmed.value = confirmed ? "1" : "";
  }
  async function reviewAsked() {
    const state = await ask();
    if (isCovered) return;
    const found = doubts(state);
    fill(state, false);
    if (found.length === 0) {
      isChecked = true;
      review.requestSubmit();
      return;
    }
    doubt.querySelector("[data-doubt-text]").textContent = found.map((key) => say(key, { failed: state?.failed ?? 0 })).join(" ");
    doubt.hidden = false;
    doubt.querySelector("[data-doubt-confirm]").onclick = () => {
      fill(state, true);
      doubt.hidden = true;
      isChecked = true;
      review.requestSubmit();
    };
    doubt.querySelector("[data-doubt-confirm]").focus();
  }
  // Before the form goes anywhere: this runs ahead of the editor, which saves and then sends it.
  document.addEventListener("submit", (event) => {
    if (event.target !== review) return;
    if (isChecked) {
      isChecked = false;
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!isCovered) reviewAsked();
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.altKey && !event.ctrlKey && event.code === "KeyI") {
      event.preventDefault();
      frame.contentWindow?.focus();
    }
  });
  without.querySelector("button").addEventListener("click", unlock);
  // A page out of the browser's memory of past pages may belong to a session that has ended.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  window.addEventListener("pagehide", () => { frame.remove(); });
  setTimeout(() => { without.hidden = section.dataset.state === "shown" || isCovered; }, PATIENCE_MS);
  if (held === 0) unlock();
  else lock(true);
  frame.src = url;
})();
