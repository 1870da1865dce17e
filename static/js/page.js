// A live page: takes over from the server's first paint.

import { Cards } from "./cards.js";
import { checkSleep, everySecond, onWake, startClock } from "./clock.js";
import "./copy.js";
import { Feed } from "./feed.js";
import { eventHappened, redraw, showState, showStore } from "./live.js";
import { Link } from "./socket.js";
import { watchStandbys } from "./standbys.js";
import { watchTabs } from "./tabs.js";
import { showConnected } from "./teach.js";

const page = JSON.parse(document.getElementById("page").textContent);
startClock(page.now);
watchTabs();

const cards = new Cards(page.cards, page.heartbeatSeconds);
const root = document.querySelector("[data-feed]");
const feed = root && new Feed(root, {
  after: page.after,
  limit: page.window,
  scrollLimit: page.scroll,
  history: page.history,
  shown: (cursors) => link.acknowledge(cursors),
});

const link = new Link(page.socket, {
  cursors: () => (feed ? feed.cursors : page.after),
  quietLimit: () => cards.quietLimit(),
  onState: (state) => {
    showState(state);
    showConnected(state);
    if (state.at === "open") cards.connection(true);
    if (state.at === "waiting" || state.at === "ended") cards.connection(false);
  },
  onFrame: (frame) => {
    eventHappened();
    receive[frame.type]?.(frame);
  },
});

const receive = {
  status: (frame) => {
    if (document.querySelector("[data-teach]") && (frame.online || frame.lastKnown)) location.reload(); // the page fills
    else cards.update(frame);
  },
  entries: (frame) => {
    if (!feed) location.reload(); // the first entry of an exchange that had none
    else {
      cards.entries(frame.exchange, frame.entries);
      feed.add(frame.exchange, frame.entries);
    }
  },
  gap: (frame) => feed?.gap(frame.exchange, frame.after, frame.first),
  store: (frame) => {
    showStore(frame.available);
    cards.store(frame.available, frame.problem);
  },
};

everySecond(() => {
  cards.tick();
  link.check();
  redraw();
});
watchStandbys(() => link.state.at === "open");
onWake(() => link.woke());
document.addEventListener("visibilitychange", checkSleep);
link.connect();

// A page that is not connected within three seconds does not look as if it were.
setTimeout(() => {
  if (link.state.at !== "open") cards.connection(false);
}, 3000);
