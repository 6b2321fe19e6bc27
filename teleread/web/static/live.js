"use strict";
// News for a page: `teleread:change` on document, detail {changes, newest}; and the live mark.
// A change is {kind: "worklist" | "delivery", case, state, version}, {kind: "gateway", gateway, state, version},
// {kind: "reset", version} (look anew), or another kind for coordinators. Nothing in it is text or identity.
(() => {
  const mark = document.querySelector("[data-live]");
  if (!mark?.dataset.stream) return;
  const ALIVE_MS = 15000;
  const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: mark.dataset.zone });
  const words = mark.querySelector("[data-live-words]");
  let heard = 0, ended = false;
  const drawn = Date.now();

  const show = () => {
    const on = !ended && Date.now() - heard < ALIVE_MS;
    mark.classList.toggle("alive", on);
    const text = ended ? mark.dataset.signedOut : on ? mark.dataset.on : mark.dataset.asOf.replace("{time}", format.format(heard || drawn));
    if (words.textContent !== text) words.textContent = text;
  };
  const take = (message) => {
    if (message.kind === "alive") heard = Math.max(heard, message.at);
    else if (message.kind === "ended") ended = true;
    else document.dispatchEvent(new CustomEvent("teleread:change", { detail: { changes: message.changes, newest: message.newest } }));
    show();
  };
  setInterval(show, 1000);

  // What belongs to another session is another stream: its name is made from this session's own token.
  const session = document.querySelector('meta[name="csrf-token"]').content.slice(0, 16);
  const name = `teleread-live-${session}`;
  const asked = { kind: "join", url: mark.dataset.stream, changes: mark.dataset.changes, after: Number(mark.dataset.version) };

  if (window.SharedWorker) {
    const worker = new SharedWorker(mark.dataset.worker, { name });
    worker.port.onmessage = ({ data }) => take(data);
    const join = () => worker.port.postMessage(asked);
    join();
    addEventListener("online", join);
    addEventListener("pagehide", () => worker.port.postMessage({ kind: "leave" }));
    addEventListener("pageshow", (event) => { if (event.persisted) join(); });
  } else if (window.BroadcastChannel && navigator.locks) {
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => take(data);
    // The tab that holds the lock has the stream; when it closes, the next one gets both.
    navigator.locks.request(name, () => new Promise(() => {
      const stream = TelereadStream({ ...asked, tell: (message) => { channel.postMessage(message); take(message); } });
      addEventListener("online", () => stream.again());
    }));
  } else {
    const stream = TelereadStream({ ...asked, tell: take });
    addEventListener("online", () => stream.again());
  }
})();
