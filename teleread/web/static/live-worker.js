"use strict";
// The one stream of a browser: every tab of one session joins, and none opens its own.
importScripts("live-stream.js");
const ports = new Set();
let stream = null, last = null, over = false;
const tell = (message) => {
  if (message.kind === "alive") last = message;
  if (message.kind === "ended") over = true;
  for (const port of ports) port.postMessage(message);
};
addEventListener("connect", ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.kind === "leave") {
      ports.delete(port);
      // Nobody listens: the worker may be kept alive by the browser, the stream is not.
      if (!ports.size) { stream?.stop(); stream = null; last = null; }
      return;
    }
    ports.add(port);
    if (!stream || over) { over = false; stream = TelereadStream({ ...data, tell }); return; }
    stream.again();
    if (last) port.postMessage(last);
    // The tab was drawn before the newest news that other tabs have had.
    if (stream.newest > data.after) port.postMessage({ kind: "change", newest: stream.newest, changes: [{ kind: "reset", version: stream.newest }] });
  };
});
