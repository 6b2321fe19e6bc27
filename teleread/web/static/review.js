"use strict";
// Waits for the rendering (or for the signed PDF), then shows it; sends the signature once.
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
  const button = form.querySelector("button");
  const seen = form.querySelector("[data-seen]");
  const allow = () => { button.disabled = !seen?.checked; };
  allow();
  seen?.addEventListener("change", allow);
  form.addEventListener("submit", () => { setTimeout(() => { button.disabled = true; }, 0); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === "Enter" && !event.isComposing && !button.disabled) form.requestSubmit();
  });
})();
