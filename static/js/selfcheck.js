// The WebSocket path, looked at from where it matters: this browser, through whatever stands between it and the server.

import { fill, gettext } from "./words.js";

const line = document.querySelector("[data-socket]");
const SECONDS = 10;
const LEVELS = { looking: gettext("looking"), ok: gettext("ok"), error: gettext("error") };

const say = (level, found) => {
  line.dataset.level = level;
  line.querySelector("[data-socket-level]").textContent = LEVELS[level];
  line.querySelector("[data-socket-found]").textContent = found;
};

const look = () => {
  const began = performance.now();
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/network/`);
  let opened = false;
  let done = false;
  const end = (level, found) => {
    if (done) return;
    done = true;
    clearTimeout(timer);
    say(level, found);
    socket.close();
  };
  const timer = setTimeout(
    () => end("error", fill(opened
      ? gettext("Opens, but no frame arrives within %(seconds)s s. Let the proxy pass frames on without buffering them.")
      : gettext("Does not open within %(seconds)s s. Let the proxy pass /ws/ on with HTTP/1.1 and the headers Upgrade and Connection."),
    { seconds: SECONDS })),
    SECONDS * 1000,
  );
  say("looking", gettext("Opening /ws/network/ …"));
  socket.addEventListener("open", () => {
    opened = true;
    socket.send(JSON.stringify({ type: "subscribe", after: {} }));
  });
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    if (frame.type === "closing") return;
    const facts = { type: frame.type, ms: Math.round(performance.now() - began) };
    end("ok", fill(gettext("Opens, and the first frame (%(type)s) arrives after %(ms)s ms."), facts));
  });
  socket.addEventListener("close", (event) => end("error", opened
    ? fill(gettext("Opens, but closes with %(code)s."), { code: [event.code, event.reason].filter(Boolean).join(": ") })
    : gettext("Does not open. Let the proxy pass /ws/ on with HTTP/1.1 and the headers Upgrade and Connection, and name this site in PERSEUS_ORIGINS.")));
};

look();
