// A screen on a wall: the tiles follow live, and nobody is there to press anything, so the page mends itself.

import { Cards } from "./cards.js";
import { attempt, checkSleep, everySecond, now, onWake, startClock, writeTime } from "./clock.js";
import { mender } from "./mend.js";
import { paint } from "./paint.js";
import { classify, takenAt } from "./rows.js";
import { Link } from "./socket.js";
import { HEADLINE_CHARS, ago, errorText, head, visible } from "./text.js";
import { fill, gettext } from "./words.js";

const page = JSON.parse(document.getElementById("page").textContent);
startClock(page.now, { zone: "utc" }); // one time for everybody who looks at it
const cards = new Cards(page.cards, page.heartbeatSeconds, null);
const cursors = { ...page.after };

const clock = document.querySelector("[data-clock] time");
const live = document.querySelector("[data-live]");
const liveWord = document.querySelector("[data-live-word]");
const liveSaid = document.querySelector("[data-live-said]");
const errors = document.querySelector("[data-errors]");
const noErrors = document.querySelector("[data-no-errors]");
const errorRow = document.querySelector("template[data-error]").content.firstElementChild;

let lastEvent = now();
let stored = true; // whether the server can read Redis
let wasOpen = false;

/** Above the older ones; as many as fit stay. */
function addError(exchange, fields) {
  if ([...errors.children].some((row) => row.dataset.exchange === exchange && row.dataset.id === fields.id)) return;
  const row = errorRow.cloneNode(true);
  row.dataset.exchange = exchange;
  row.dataset.id = fields.id;
  paint(row, { exchange, taken: takenAt(fields), lead: visible(head(errorText(fields.error), HEADLINE_CHARS, "…")), rest: "" });
  errors.prepend(row);
  while (errors.childElementCount > page.errors) errors.lastElementChild.remove();
  noErrors.hidden = true;
}

function showLive() {
  const open = link.state.at === "open";
  const word = !open ? gettext("not live") : stored ? gettext("live") : gettext("Redis is away");
  live.dataset.live = open && stored ? "on" : "wait";
  liveWord.textContent = fill(gettext("UTC, %(word)s, last event %(age)s"), { word, age: ago((now() - lastEvent) / 1000) });
  if (liveSaid.textContent !== word) liveSaid.textContent = word; // without the seconds: those tick
}

/** The link was revoked: what it showed goes, too. */
function end() {
  const ended = document.querySelector("template[data-ended]").content.cloneNode(true);
  document.querySelector("main").replaceWith(ended);
  document.title = "Perseus";
}

const mend = document.querySelector("[data-trouble]") ? mender() : () => {};

const receive = {
  status: (frame) => {
    mend(true);
    stored = true;
    cards.update(frame);
  },
  entries: (frame) => {
    for (const fields of frame.entries) {
      cursors[frame.exchange] = fields.id;
      if (classify(fields)[0] === "error") attempt(() => addError(frame.exchange, fields));
    }
    cards.entries(frame.exchange, frame.entries);
    link.acknowledge(cursors);
  },
  gap: (frame) => {
    if (frame.first === null) cursors[frame.exchange] = "0-0"; // the stream began anew
  },
  store: (frame) => {
    stored = frame.available;
    cards.store(frame.available, frame.problem);
    mend(frame.available);
  },
};

const link = new Link(page.socket, {
  cursors: () => cursors,
  onState: (state) => {
    if (state.at === "ended") {
      if (state.final.code === 4401) end();
      else setTimeout(() => location.reload(), 60_000); // nobody is there to do it
      cards.connection(false);
      return;
    }
    if (state.at === "open") {
      // Back after a loss: there may be other exchanges, or another version of this page.
      if (wasOpen) location.reload();
      wasOpen = true;
      cards.connection(true);
    }
    if (state.at === "waiting") cards.connection(false);
  },
  onFrame: (frame) => {
    if (frame.type !== "store") lastEvent = now();
    attempt(() => receive[frame.type]?.(frame));
  },
});

everySecond(() => {
  if (link.state.at === "ended") return;
  cards.tick();
  link.check();
  writeTime(clock, now());
  showLive();
});
onWake(() => link.woke());
document.addEventListener("visibilitychange", checkSleep);
link.connect();
