// A live page: takes over from the server's first paint.

import { Cards } from "./cards.js";
import { attempt, checkSleep, everySecond, onWake, startClock } from "./clock.js";
import "./copy.js";
import { Feed } from "./feed.js";
import { watchFilter } from "./filter.js";
import { eventHappened, redraw, showState, showStore } from "./live.js";
import { watchLooked } from "./looked.js";
import { Notices } from "./notices.js";
import { Polling } from "./polling.js";
import { Link } from "./socket.js";
import { watchTabs } from "./tabs.js";
import { showConnected } from "./teach.js";

const page = JSON.parse(document.getElementById("page").textContent);
startClock(page.now);
watchTabs();

/** What a page has beside cards and feed (network.js, exchange.js): told of entries, of commands, and once a second. */
const beside = { entriesArrived() {}, commandMoved() {}, tick() {} };
export const extend = (parts) => Object.assign(beside, parts);
export const isOpen = () => link.state.at === "open";
export const isHeard = () => isOpen() || polling.works;

const cards = new Cards(page.cards, page.heartbeatSeconds, page.arranged);
const root = document.querySelector("[data-feed]");
const feed = root && new Feed(root, {
  after: page.after,
  limit: page.window,
  history: page.history,
  filter: page.filter,
  shown: (cursors) => link.acknowledge(cursors),
});

if (feed) watchLooked(feed.rows, () => feed.attached && !feed.waiting.length);

const bell = document.querySelector("[data-notices]");
const notices = bell && new Notices(bell, page.notices);
cards.onLook = (all) => notices?.look(all);

const form = document.querySelector("[data-filter]");
if (feed && form) watchFilter(form, page.filter, (filter) => feed.narrow(filter));

const polling = new Polling(cards, feed);
// What was chosen since the page came stands in its address.
for (const saving of document.querySelectorAll("[data-save-view]")) {
  saving.addEventListener("submit", () => { saving.elements.query.value = location.search; });
}

const link = new Link(page.socket, {
  cursors: () => (feed ? feed.cursors : page.after),
  onState: (state) => {
    if (polling.follows(state, link.failures)) return;
    showState(state);
    showConnected(state);
    if (state.at === "open") {
      cards.connection(true);
      feed?.resume();
    }
    if (state.at === "waiting" || state.at === "ended") cards.connection(false);
  },
  onFrame: (frame) => {
    if (frame.type !== "store") eventHappened(); // that one also comes to say that there is nothing to say
    attempt(() => receive[frame.type]?.(frame));
  },
});

const trouble = document.querySelector("[data-trouble]");
const RELOAD_MS = 10000; // between two reloads by itself: whoever answers now and not then is not asked without end

/** The server could not read Redis when it made this page. Now it can: everything is asked for again, once. */
const mend = (() => {
  let timer = 0;
  const last = "perseus-mended";
  return (available) => {
    if (!trouble) return;
    if (!available) {
      clearTimeout(timer);
      timer = 0;
    } else if (!timer) {
      let before = 0;
      try {
        before = Number(sessionStorage.getItem(last));
      } catch {
        // Storage is forbidden in this browser: then every reload waits.
        before = Date.now();
      }
      timer = setTimeout(() => {
        try {
          sessionStorage.setItem(last, String(Date.now()));
        } catch {
          // As above.
        }
        location.reload();
      }, Math.min(RELOAD_MS, Math.max(0, before + RELOAD_MS - Date.now())));
    }
  };
})();

const receive = {
  status: (frame) => {
    mend(true);
    if (document.querySelector("[data-teach]") && (frame.online || frame.lastKnown)) location.reload(); // the page fills
    else cards.update(frame);
  },
  entries: (frame) => {
    if (!feed) location.reload(); // the first entry of an exchange that had none
    else {
      cards.entries(frame.exchange, frame.entries);
      beside.entriesArrived(frame.exchange);
      notices?.entries(frame.exchange, frame.entries);
      feed.add(frame.exchange, frame.entries);
    }
  },
  gap: (frame) => feed?.gap(frame.exchange, frame.after, frame.first),
  command: () => {
    beside.commandMoved(); // of this exchange
  },
  store: (frame) => {
    showStore(frame.available);
    cards.store(frame.available, frame.problem);
    mend(frame.available);
  },
};

everySecond(() => {
  cards.tick();
  link.check();
  redraw();
  beside.tick();
});
onWake(() => link.woke());
document.addEventListener("visibilitychange", checkSleep);
link.connect();

// A page that is not connected within three seconds does not look as if it were.
setTimeout(() => {
  if (link.state.at !== "open" && !polling.works) cards.connection(false);
}, 3000);
