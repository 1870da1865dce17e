// Where a proxy lets no socket through, the page asks again and again, and says so instead of looking live.

import { eventHappened, showState } from "./live.js";
import { SIGNED_OUT } from "./socket.js";

const EVERY_MS = 10000; // well within the 45 s for which a heartbeat counts
const TIMEOUT_MS = 8000;
const AFTER_FAILURES = 3; // a server that restarts is back before

export class Polling {
  constructor(cards, feed) {
    this.cards = cards;
    this.feed = feed;
    this.timer = 0;
    this.works = false; // whether the last question was answered
    this.ended = false;
    this.failed = false; // to bring the newest entries: the list stays where it is, detached
    this.state = null; // of the socket
  }

  /** How the socket stands. Whether that need not be shown, because this works in its place. */
  follows(state, failures) {
    this.state = state;
    if (state.at === "open" || state.at === "ended") {
      this.stop();
      if (this.failed && state.at === "open") this.renew();
    }
    if (state.at === "waiting" && failures >= AFTER_FAILURES && !this.timer && !this.ended) {
      this.timer = setInterval(() => this.ask(), EVERY_MS);
      this.ask();
    }
    return this.works || this.ended;
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.works = false;
  }

  async ask() {
    try {
      const response = await fetch(location.pathname, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!this.timer) return; // the socket came through meanwhile
      if (response.redirected || response.status === 404) {
        this.stop();
        this.ended = true;
        this.cards.connection(false);
        if (response.redirected) showState({ at: "ended", final: SIGNED_OUT });
        else location.reload(); // the right to view it was withdrawn: the server says so
        return;
      }
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      if (!this.timer) return;
      this.show(fresh);
    } catch {
      if (!this.timer) return;
      this.works = false; // asked again in a moment; until then nothing is claimed
      this.cards.connection(false);
      showState(this.state);
    }
  }

  show(fresh) {
    this.works = true;
    eventHappened();
    const trouble = fresh.querySelector("[data-trouble]");
    this.cards.connection(true);
    if (trouble) this.cards.store(false, trouble.textContent.trim());
    else this.cards.replace(JSON.parse(fresh.getElementById("page").textContent).cards);
    if (this.feed?.attached || this.failed) this.renew();
    showState({ at: "polling", every: EVERY_MS / 1000 });
  }

  /** The newest entries, unless somebody reads others. */
  async renew() {
    if (!this.feed.rows.atTop()) return;
    await this.feed.renew();
    this.failed = !this.feed.attached;
  }
}
