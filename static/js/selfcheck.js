// The WebSocket path, looked at from where it matters: this browser, through whatever stands between it and the server.

const line = document.querySelector("[data-socket]");
const SECONDS = 10;

const say = (level, found) => {
  line.dataset.level = level;
  line.querySelector("[data-socket-level]").textContent = level;
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
    () => end("error", opened
      ? `Opens, but no frame arrives within ${SECONDS} s. Let the proxy pass frames on without buffering them.`
      : `Does not open within ${SECONDS} s. Let the proxy pass /ws/ on with HTTP/1.1 and the headers Upgrade and Connection.`),
    SECONDS * 1000,
  );
  say("looking", "Opening /ws/network/ …");
  socket.addEventListener("open", () => {
    opened = true;
    socket.send(JSON.stringify({ type: "subscribe", after: {} }));
  });
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    if (frame.type === "closing") return;
    end("ok", `Opens, and the first frame (${frame.type}) arrives after ${Math.round(performance.now() - began)} ms.`);
  });
  socket.addEventListener("close", (event) => end("error", opened
    ? `Opens, but closes with ${event.code}${event.reason ? `: ${event.reason}` : ""}.`
    : "Does not open. Let the proxy pass /ws/ on with HTTP/1.1 and the headers Upgrade and Connection, and name this site in PERSEUS_ORIGINS."));
};

look();
