// A live page: takes over from the server's first paint.

import { Cards } from "./cards.js";
import { attempt, checkSleep, everySecond, onWake, startClock } from "./clock.js";
import "./copy.js";
import { Feed } from "./feed.js";
import { watchFilter } from "./filter.js";
import { eventHappened, redraw, showState, showStore } from "./live.js";
import { watchLooked } from "./looked.js";
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
export const isHeard = () => link.state.at === "open" || polling.works;

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

// What few pages need, most do not fetch: 2.5 KB of the 100 that the network page may cost.
let notices = null;
const bell = document.querySelector("[data-notices]");
if (bell?.querySelector("[data-try]")) { // it stands there for who wants to be told of anything
  import("./notices.js").then(({ Notices }) => { notices = new Notices(bell, page.notices); });
}
let mend = () => {}; // told again with every frame
const trouble = document.querySelector("[data-trouble]");
if (trouble) import("./mend.js").then(({ mender }) => { mend = mender(); });
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

const receive = {
  status: (frame) => {
    mend(true);
    if (document.querySelector("[data-teach]") && (frame.online || frame.lastKnown)) location.reload(); // the page fills
    else cards.update(frame);
  },
  entries: ({ exchange, entries }) => {
    if (!feed) location.reload(); // the first entry of an exchange that had none
    else {
      feed.add(exchange, entries); // first: the cursor passes over what another failure kept from the list
      attempt(() => cards.entries(exchange, entries));
      attempt(() => beside.entriesArrived(exchange));
      attempt(() => notices?.entries(exchange, entries));
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
