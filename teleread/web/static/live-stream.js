"use strict";
// One stream of news: EventSource, and while it cannot be had, the same news asked for every few seconds.
// Used in the shared worker, and in a page of a browser that has none. `tell` gets {kind: "alive" | "change" | "ended"}.
function TelereadStream({ url, changes, after, tell }) {
  const POLL_MS = 4000, ALIVE_MS = 15000, BACK_OFF_MS = [1000, 2000, 4000, 8000, 16000, 30000];
  let newest = after ?? null, source = null, tries = 0, ended = false, heard = 0, opening = 0, poll = 0;

  const alive = () => { heard = Date.now(); tell({ kind: "alive", at: heard, newest }); };
  const take = (data) => {
    newest = Math.max(newest ?? 0, data.newest);
    if (data.reset) tell({ kind: "change", newest, changes: [{ kind: "reset", version: newest }] });
    else if (data.changes?.length) tell({ kind: "change", newest, changes: data.changes });
    alive();
  };
  const close = () => { source?.close(); source = null; };
  const end = () => { ended = true; close(); clearTimeout(opening); clearInterval(poll); tell({ kind: "ended" }); };
  const later = () => {
    close();
    if (ended) return;
    clearTimeout(opening);
    // Not all browsers at once after a restart.
    const wait = BACK_OFF_MS[Math.min(tries, BACK_OFF_MS.length - 1)] * (0.75 + Math.random() / 2);
    tries += 1;
    opening = setTimeout(open, wait);
  };
  const open = () => {
    if (ended) return;
    close();
    const mine = new EventSource(newest === null ? url : `${url}?after=${newest}`, { withCredentials: true });
    source = mine;
    const on = (name, act) => mine.addEventListener(name, (event) => { if (source === mine) act(JSON.parse(event.data)); });
    on("hello", (data) => { tries = 0; take({ newest: newest ?? data.newest }); });
    on("alive", (data) => take({ newest: data.newest }));
    on("change", take);
    on("reset", (data) => take({ newest: data.newest, reset: true }));
    on("end", () => { later(); ask(); });
    mine.onerror = () => { if (source === mine) { later(); ask(); } };
  };
  const ask = async () => {
    if (ended || Date.now() - heard < POLL_MS) return;
    try {
      const answer = await fetch(`${changes}?after=${newest ?? ""}`, { headers: { "Teleread-Background": "1" }, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) end();
      else if (answer.ok) take(await answer.json());
    } catch { /* The line is gone; the mark tells it by its time, and the next try follows. */ }
  };
  poll = setInterval(() => {
    if (source && Date.now() - heard > ALIVE_MS) later();
    if (!source) ask();
  }, POLL_MS);
  open();
  return {
    // After sign-in, or when the browser says that the line is back.
    again() { if (!ended && !source) { tries = 0; clearTimeout(opening); open(); } },
    stop() { ended = true; close(); clearTimeout(opening); clearInterval(poll); },
    get newest() { return newest; },
  };
}
