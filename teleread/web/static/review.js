"use strict";
// Waits for the rendering (or for the signed PDF), then shows it; sends the signature once, and when the line breaks
// asks whether it arrived before anybody may sign again.
(() => {
  const waiting = document.querySelector('[data-rendering][data-state="pending"]');
  const sealing = document.querySelector("[data-sealing]");
  const POLL_MS = 400;
  const poll = async (address, isThere) => {
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (answer.status === 401 || (answer.ok && isThere(await answer.json()))) {
        location.replace(address);
        return;
      }
    } catch {
      // The line may be back at the next try; the page stays as it is.
    }
    setTimeout(poll, POLL_MS, address, isThere);
  };
  if (waiting) poll(waiting.dataset.rendering, (body) => body.state !== "pending");
  if (sealing) poll(sealing.dataset.sealing, (body) => body.pdf_ready);

  const form = document.querySelector("[data-sign]");
  if (!form) return;
  const ASK_MS = 1500;
  // A signature that was under way when the line broke may be taken a moment later.
  const ASK_AGAIN = 2;
  const texts = JSON.parse(form.dataset.texts);
  const button = form.querySelector("button.primary");
  const keyButton = form.querySelector("[data-key-sign-in]");
  const seen = form.querySelector("[data-seen]");
  const told = form.querySelector("[data-told]");
  let isBusy = false;
  const allow = () => {
    button.disabled = isBusy || !seen?.checked;
    if (keyButton) keyButton.disabled = isBusy;
    button.toggleAttribute("aria-busy", isBusy);
  };
  const say = (key, tone, values = {}) => {
    told.hidden = false;
    told.className = `banner ${tone}`;
    told.querySelector("span").textContent = Object.entries(values).reduce((words, [name, value]) => words.replace(`{${name}}`, value), texts[key]);
  };
  const again = (key) => {
    isBusy = false;
    form.elements.totp.value = "";
    if (keyButton) {
      // An answer of the key counts once, as a code does.
      form.elements.key.value = "";
      form.elements.totp.required = true;
      form.noValidate = false;
    }
    allow();
    say(key, "bad");
    form.elements.totp.focus();
  };
  const arrived = async (tries) => {
    let body = null;
    try {
      const answer = await fetch(form.dataset.rendering, { headers: { Accept: "application/json" } });
      if (answer.status === 401) { again("sign.signed_out"); return; }
      if (answer.ok) body = await answer.json();
    } catch {
      // Still no line.
    }
    if (body?.is_signed) {
      say("sign.arrived", "good", { time: body.signed });
      setTimeout(() => { location.replace(form.dataset.signed); }, ASK_MS);
    } else if (body !== null && tries >= ASK_AGAIN) {
      again("sign.not_arrived");
    } else {
      setTimeout(arrived, ASK_MS, body === null ? tries : tries + 1);
    }
  };
  const REFUSED = { 401: "sign.signed_out", 403: "review.refused", 409: "review.changed" };
  const send = async () => {
    let answer;
    try {
      answer = await fetch(form.action, {
        method: "POST", credentials: "same-origin", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)),
      });
    } catch {
      say("sign.checking", "");
      setTimeout(arrived, ASK_MS, 1);
      return;
    }
    if (answer.ok) { location.replace(form.dataset.signed); return; }
    const body = await answer.json().catch(() => ({}));
    again(body.error === "pages_unseen" ? "review.pages_unseen" : REFUSED[answer.status] ?? "sign.failed");
  };
  allow();
  seen?.addEventListener("change", allow);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isBusy || button.disabled) return;
    isBusy = true;
    allow();
    say("sign.sending", "plain");
    send();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === "Enter" && !event.isComposing && !button.disabled) form.requestSubmit();
  });
})();
