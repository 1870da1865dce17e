// The socket: subscribes from the page's cursors, resumes after every loss, and always says how it stands.

import { parseInOrder } from "./text.js";
import { gettext } from "./words.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30000;
const QUIET_MS = 45000; // the server says something every 15 s at least: without that, the connection is half-open
const OPENING_MS = 10000; // a connection that is neither refused nor opened by then is tried anew

// Codes after which trying again would change nothing: what happened, and the way out.
export const SIGNED_OUT = { code: 4401, word: gettext("Signed out"), rest: "", action: gettext("Sign in") };
const notLive = (rest) => ({ word: gettext("Not live"), rest, action: gettext("Reload") });
const FINAL = {
  4400: notLive(gettext("this page and the server disagree")),
  4401: SIGNED_OUT,
  4403: notLive(gettext("your right to view this was withdrawn")),
  4404: notLive(gettext("this exchange is gone")),
  4413: notLive(gettext("too many of your pages are open: close some")),
};
const STATUS_CHARS = 131072; // statuses are acknowledged by the 128 K: the server waits at 512 KB
const ENTRIES_CHARS = 65536; // and entries by the 64 K: the server waits at 256 KB, and a character has up to three bytes
const ACKNOWLEDGE_MS = 500; // at the latest so long after they were shown, and up to twice that again: see acknowledge()
const RESTART = 1012;
const STALLED = 4408;

export class Link {
  /**
   * `cursors()` gives the last id per exchange, `onFrame(frame)` gets every frame, `onState(state)` every change:
   * `{at: "connecting" | "open" | "waiting" | "ended", until?, final?}` with `until` in performance.now() milliseconds.
   */
  constructor(path, { cursors, onFrame, onState }) {
    this.url = new URL(path, location.href);
    this.url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.cursors = cursors;
    this.onFrame = onFrame;
    this.onState = onState;
    this.failures = 0;
    this.shown = {};
    this.acknowledged = {};
    this.saying = null; // the timer of the next acknowledgement
    this.state = { at: "waiting" };
    const hurry = () => this.hurry();
    document.addEventListener("visibilitychange", hurry);
    window.addEventListener("online", hurry);
    window.addEventListener("pageshow", hurry);
  }

  set(state) {
    this.state = state;
    this.onState(state);
  }

  connect() {
    this.drop();
    clearTimeout(this.timer);
    this.set({ at: "connecting" });
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.timer = setTimeout(() => this.retry(), OPENING_MS);
    const mine = (handle) => (event) => {
      if (this.socket === socket) handle(event); // a socket that was given up says nothing more
    };
    socket.onopen = mine(() => {
      this.acknowledged = {};
      this.entriesChars = Math.floor(Math.random() * ENTRIES_CHARS); // see acknowledge()
      this.statuses = new Map(); // the newest status frame per exchange: what a heartbeat is laid upon
      this.statusChars = 0;
      socket.send(JSON.stringify({ type: "subscribe", after: this.cursors(), statuses: true }));
    });
    socket.onmessage = mine((event) => this.receive(event));
    socket.onclose = mine((event) => this.closed(event.code));
  }

  receive(event) {
    this.heardAt = performance.now();
    if (this.state.at !== "open") {
      // Only a frame proves that we were let in: a refusal closes right after it opened.
      const frame = parseInOrder(event.data);
      if (frame.type === "closing") return;
      clearTimeout(this.timer);
      this.failures = 0;
      this.set({ at: "open" });
      this.handOn(frame, event.data.length);
      return;
    }
    this.handOn(parseInOrder(event.data), event.data.length);
  }

  /** Many statuses come in one frame, and heartbeats without what they did not change: pages get them one by one. */
  handOn(frame, chars) {
    if (frame.type !== "statuses") {
      if (frame.type === "entries") this.entriesChars += chars;
      this.onFrame(frame);
      return;
    }
    for (const status of frame.frames) {
      this.statuses.set(status.exchange, status);
      this.onFrame(status);
    }
    for (const { exchange, lastHeartbeat, ttlMs } of frame.beats) {
      const before = this.statuses.get(exchange);
      const status = { ...before, ttlMs, status: { ...before.status } };
      if ("lastHeartbeat" in status.status) status.status.lastHeartbeat = lastHeartbeat;
      this.statuses.set(exchange, status);
      this.onFrame(status);
    }
    this.statusChars += chars;
    if (this.statusChars < STATUS_CHARS) return;
    this.statusChars = 0;
    this.socket?.send(JSON.stringify({ type: "ack", last: {}, statuses: frame.upto }));
  }

  closed(code) {
    this.socket = null;
    clearTimeout(this.timer);
    if (code in FINAL) {
      this.set({ at: "ended", final: { code, ...FINAL[code] } });
      return;
    }
    // A server that restarts is back soon, and a stalled page may go on at once; everything else waits longer each time.
    if (code === RESTART || code === STALLED) this.failures = Math.min(this.failures, 1);
    this.retry();
  }

  retry() {
    this.drop();
    clearTimeout(this.timer);
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures);
    const wait = longest * (0.5 + Math.random() / 2); // jitter: a restarted server does not meet all pages at once
    this.failures += 1;
    this.timer = setTimeout(() => this.connect(), wait);
    this.set({ at: "waiting", until: performance.now() + wait });
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  /** Somebody looks at the page again, or the network is back: no reason to wait any longer. */
  hurry() {
    if (this.state.at === "waiting" && !document.hidden) {
      this.failures = 0;
      this.connect();
    } else this.check();
  }

  /** Called every second, and after a sleep: a connection without a sign of life is given up. */
  check() {
    if (this.state.at === "open" && performance.now() - this.heardAt > QUIET_MS) this.connect();
  }

  /** The machine slept: whatever the socket says, its other end may be gone. */
  woke() {
    if (this.state.at !== "ended") this.connect();
  }

  /**
   * Tell the server what was dealt with, so that it goes on sending: at once where much came, else a moment later. An
   * answer to every entry would cost the server more than the entry, and all pages' answers at one moment a pause: so
   * each page has its own moments, and what is beyond the 64 K counts for the next one, that pages do not fall in step.
   */
  acknowledge(last) {
    this.shown = { ...last };
    // A browser may hold the timers of a hidden page back for a minute, and after a minute the server gives it up.
    if (this.entriesChars >= ENTRIES_CHARS || document.hidden) this.sayShown();
    else this.saying ??= setTimeout(() => this.sayShown(), ACKNOWLEDGE_MS * (1 + 2 * Math.random()));
  }

  sayShown() {
    clearTimeout(this.saying);
    this.saying = null;
    const news = Object.entries(this.shown).filter(([exchange, id]) => this.acknowledged[exchange] !== id);
    if (!news.length || this.socket?.readyState !== WebSocket.OPEN || this.state.at !== "open") return;
    this.entriesChars %= ENTRIES_CHARS;
    Object.assign(this.acknowledged, Object.fromEntries(news));
    this.socket.send(JSON.stringify({ type: "ack", last: Object.fromEntries(news) }));
  }
}
