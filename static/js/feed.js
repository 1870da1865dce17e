// The list of entries: what comes live, what is scrolled to, and what waits while somebody reads.
//
// The document holds a window of the history. While its top is the newest entry (`attached`), live entries are added
// above it; otherwise they are counted, and found by scrolling up, from the server, as everything else that left.

import { heedsGap, matches } from "./filter.js";
import { isNewer, keyOf, nameOf, newestFirst } from "./order.js";
import { Reach } from "./reach.js";
import { RowList } from "./rowlist.js";
import { brokenRow, entryRow, fillOpened, gapRow } from "./rows.js";
import { fill, gettext, grouped, ngettext } from "./words.js";

const SLICE_MS = 8; // of a frame of 16 ms: the rest is for layout and for whoever types or scrolls
const SLICE_ROWS = 30; // and no more rows in one frame, since layout and paint cost as much again: one screen
const SAY_MS = 10000; // between two announcements of what waits: a live region that speaks without end is switched off

export class Feed {
  /** `shown(cursors)` is called when this page has dealt with everything up to these ids. */
  constructor(root, { after, limit, history, filter, shown }) {
    this.rows = new RowList(root, limit);
    this.reach = new Reach(filter);
    this.list = this.rows.list;
    this.news = root.querySelector("[data-news]");
    this.said = root.querySelector("[data-feed-said]");
    this.around = root.querySelector("[data-around]");
    this.limit = limit;
    this.shown = shown;
    this.cursors = { ...after };
    this.attached = true;
    this.waiting = []; // what comes above the top, at most twice `limit`: see bound()
    this.floor = null; // the newest entry that was passed over
    this.fresh = 0; // entries that came since whoever reads was last at the top, in the document or not
    this.frame = 0;
    this.saidAt = -SAY_MS;
    if (history) this.detach();
    this.news.addEventListener("click", () => this.jump());
    this.around?.querySelector("[data-newest]").addEventListener("click", (event) => {
      event.preventDefault();
      this.jump();
    });
    this.list.addEventListener("click", (event) => {
      if (!event.target.closest("[data-older], [data-above]")) return;
      event.preventDefault();
      if (event.target.closest("[data-older]")) this.loadOlder();
      else if (this.missed) this.renew();
      else this.loadNewer();
    });
    const toggled = (details) => {
      fillOpened(details);
      if (!details.open && this.waiting.length) this.schedule(); // what came while somebody read it
    };
    this.list.addEventListener("toggle", (event) => toggled(event.target), { capture: true });
    document.addEventListener("scroll", () => this.onScroll(), { capture: true, passive: true });
    // At the very top a wheel scrolls nothing any more, and still asks for what is above.
    this.list.addEventListener("wheel", () => this.onScroll(), { passive: true });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.frame) this.flush(); // the frame that it waits for is not drawn any more
    });
    this.goOn();
  }

  /** Entries of one frame. What is not newer than the exchange's cursor was here before. */
  add(exchange, entries) {
    let last = this.cursors[exchange];
    for (const fields of entries) {
      const key = keyOf(exchange, fields.id);
      if (last !== undefined && !isNewer(key, keyOf(exchange, last))) continue;
      last = fields.id;
      if (this.rows.holds(exchange, fields.id) || !matches(this.reach.filter, exchange, fields)) continue;
      this.take({ key, exchange, fields });
    }
    if (last !== undefined) this.cursors[exchange] = last;
    this.schedule();
  }

  /** The server cannot go on from our cursor. */
  gap(exchange, after, first) {
    const began = first === null || !isNewer(keyOf(exchange, first), keyOf(exchange, after));
    if (began) this.cursors[exchange] = "0-0"; // a stream that began anew counts from the start
    const gap = { after, first: began ? null : first };
    if (heedsGap(this.reach.filter, exchange, gap)) this.take({ key: keyOf(exchange, after), exchange, gap });
    this.schedule();
  }

  take(item) {
    if (this.rows.isBelow(item.key)) return; // whoever scrolls down finds it
    const above = this.rows.isAbove(item.key);
    if (above && item.fields) this.fresh += 1;
    if (this.attached || this.joining || !above) this.waiting.push(item);
  }

  /** `asked`: whoever reads has asked for what waits, so it comes although a row is open. */
  schedule(asked = false) {
    if (this.waiting.length > 2 * this.limit) this.bound();
    if (document.hidden) this.flush(asked); // no frames are drawn in a hidden tab, and its acknowledgements must go on
    else if (!this.frame) this.frame = requestAnimationFrame(() => this.flush(asked));
  }

  /** Keep the newest `limit` of what waits. What is passed over is found by scrolling. */
  bound() {
    this.waiting.sort(newestFirst);
    // A stream that began anew sends entries again that wait already.
    const seen = new Set();
    this.waiting = this.waiting.filter(({ exchange, fields, gap }) => {
      const name = `${gap ? "gap " : ""}${nameOf(exchange, fields?.id ?? gap.after)}`;
      return seen.has(name) ? false : seen.add(name);
    });
    if (this.waiting.length <= this.limit) return;
    if (this.attached && !this.joining && !this.rows.atTop()) {
      this.detach();
      return;
    }
    if (!this.floor || isNewer(this.waiting[this.limit].key, this.floor)) this.floor = this.waiting[this.limit].key;
    this.waiting.length = this.limit;
  }

  /** From now on there is more above the top than the document knows. */
  detach() {
    this.attached = false;
    this.waiting = this.waiting.filter((item) => !this.rows.isAbove(item.key));
    this.floor = null;
    if (!this.rows.start) {
      const item = document.createElement("li");
      item.className = "more";
      item.dataset.above = "";
      const button = document.createElement("button");
      button.type = "button";
      button.className = "btn quiet";
      item.append(button);
      this.list.prepend(item);
      this.sayAbove(gettext("Newer entries"));
    }
    if (this.around) this.around.hidden = false;
  }

  /** What stands above the rows of a detached list. */
  sayAbove(words) {
    if (this.rows.start) this.rows.start.firstElementChild.textContent = words;
    return words;
  }

  /** The top is the newest entry again; `waiting` holds what came since. */
  attach() {
    this.attached = true;
    this.rows.start?.remove();
    if (this.around) this.around.hidden = true;
    this.schedule();
  }

  flush(asked = false) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.bound();
    const atTop = this.rows.atTop(); // before the rows change: afterwards the question would cost a layout
    const follows = this.attached && (atTop || asked);
    if (this.waiting.length && follows) this.render(asked);
    else if (this.waiting.length) this.fillIn();
    if (follows && !this.waiting.length) this.fresh = 0;
    this.sayNews(this.attached && atTop);
    this.shown(this.cursors);
  }

  /** Rows for what waits, as many as fit into a part of a frame, oldest first: the list never has a hole. */
  render(asked) {
    if (this.floor) {
      // More came than a page holds: rows that are older than what was passed over would stand below a hole.
      this.rows.dropOlderThan(this.floor);
      this.floor = null;
      this.left = true;
    }
    const until = performance.now() + SLICE_MS;
    const made = [];
    while (this.waiting.length) {
      if (!document.hidden && made.length && (made.length >= SLICE_ROWS || performance.now() > until)) break;
      const item = this.waiting.pop();
      made.push({ key: item.key, row: this.rowOf(item) });
    }
    this.rows.insert(made.reverse());
    this.trimBottom();
    this.rows.relate();
    if (this.waiting.length) this.schedule(asked);
  }

  /** Late entries of one exchange that belong among rows which are there already. */
  fillIn() {
    const late = this.waiting.filter((item) => !this.rows.isAbove(item.key));
    if (!late.length) return;
    this.waiting = this.waiting.filter((item) => this.rows.isAbove(item.key));
    // Before they come: they move what is below them, so that nobody can tell afterwards what was in sight.
    const many = this.rows.rows + late.length > this.limit;
    const [seen, read] = many ? [this.rows.rowInSight(), this.rows.lowestRead()] : [];
    this.rows.keepPlace(() => {
      this.rows.insert(late.map((item) => ({ key: item.key, row: this.rowOf(item) })));
      if (this.rows.rows <= this.limit) return;
      if (read && seen && this.rows.isBeyond(read, "bottom") && !this.rows.isBeyond(seen, "top")) this.trimTop();
      else this.trimBottom();
    });
    this.rows.relate();
  }

  rowOf({ exchange, fields, gap }) {
    if (gap) return gapRow(exchange, gap.after, gap.first);
    try {
      return entryRow(exchange, fields);
    } catch (error) {
      console.error(error);
      return brokenRow(exchange, fields, error);
    }
  }

  /** What leaves at the top is found again by scrolling up. What waits is newer than that, and goes with it. */
  trimTop() {
    this.detach();
    this.rows.trim("top");
    this.cursor = null;
  }

  /** What leaves at the bottom is found again by the link to older entries. */
  trimBottom() {
    this.left = this.rows.trim("bottom") || this.left;
    const { end, bottom } = this.rows;
    if (!bottom) return;
    if ("empty" in end.dataset) {
      end.textContent = gettext("The history begins here.");
      delete end.dataset.empty;
    }
    if (!this.left) return;
    this.left = false;
    const link = document.createElement("a");
    link.dataset.older = "";
    link.href = `${this.reach.link({ before: `${bottom.dataset.id}@${bottom.dataset.exchange}` })}#activity`;
    link.textContent = gettext("Older entries");
    end.replaceChildren(link);
  }

  sayNews(following) {
    const count = this.fresh;
    const hidden = !count || following;
    if (this.news.hidden !== hidden) this.rows.keepPlace(() => { this.news.hidden = hidden; });
    if (hidden) return;
    const facts = { count: grouped(count) };
    this.news.lastElementChild.textContent = fill(ngettext("%(count)s new entry", "%(count)s new entries", count), facts);
    const now = performance.now();
    if (now - this.saidAt < SAY_MS) return;
    this.saidAt = now;
    this.said.textContent = fill(ngettext("%(count)s new entry above", "%(count)s new entries above", count), facts);
  }

  onScroll() {
    this.scrolled = true;
    if (this.scrollFrame) return;
    this.scrollFrame = requestAnimationFrame(() => {
      this.scrollFrame = 0;
      if ((this.waiting.length || this.fresh) && !this.frame) this.flush();
      this.goOn();
    });
  }

  /** Ask for more where an end of the rows is near, or a search has not filled the page yet. */
  goOn() {
    if (this.reach.busy || this.troubled) return;
    const searching = this.rows.end.querySelector("[data-on]");
    if ((this.scrolled || searching) && this.rows.end.querySelector("[data-older]") && this.rows.nearEnd()) this.loadOlder();
    else if (this.scrolled && !this.attached && this.rows.top && this.rows.nearStart()) this.loadNewer();
  }

  async ask(parameters, done, place) {
    this.list.setAttribute("aria-busy", "true");
    this.troubled = this.missed = false;
    this.sayAbove(gettext("Newer entries"));
    try {
      const found = await this.reach.fetch(parameters);
      if (!found) return;
      done(found);
      setTimeout(() => this.goOn());
    } catch (error) {
      this.troubled = true; // somebody has to ask again, else a server in trouble would be asked without end
      if (this.joining) this.joined();
      this.said.textContent = place(fill(gettext("%(why)s. Try again"), { why: error.message.slice(0, 200) }));
    } finally {
      if (!this.reach.busy) {
        this.list.removeAttribute("aria-busy");
        this.list.style.minBlockSize = "";
      }
    }
  }

  loadOlder() {
    const link = this.rows.end.querySelector("[data-older]");
    const before = new URL(link.href).searchParams.get("before");
    return this.ask({ before }, ({ rows, end }) => {
      // Rows may have left or come meanwhile: then what was fetched no longer continues the list.
      if (!link.isConnected || new URL(link.href).searchParams.get("before") !== before) return;
      this.rows.keepPlace(() => {
        this.rows.add(rows, "below");
        this.rows.end.replaceWith(end);
        if (this.rows.rows > this.limit) this.trimTop();
      });
      this.rows.relate();
    }, (why) => (link.textContent = fill(gettext("Older entries could not be loaded: %(why)s"), { why })));
  }

  loadNewer() {
    const above = this.cursor ?? this.rows.above;
    if (!above) return this.renew();
    this.join();
    return this.ask({ after: above }, ({ rows, end }) => {
      const complete = "complete" in end.dataset && !this.floor;
      this.cursor = complete || rows.length ? null : end.dataset.newer; // a search may have found nothing on its way
      this.rows.keepPlace(() => {
        this.rows.add(rows, "above");
        if (this.rows.rows > this.limit) this.trimBottom();
        this.joined(complete);
      });
      this.rows.relate();
    }, (why) => this.sayAbove(fill(gettext("Newer entries could not be loaded: %(why)s"), { why })));
  }

  /** Entries that come from now on may be missing in the answer that is on its way: they wait for it. */
  join() {
    this.joining = true;
    this.floor = null;
  }

  /** Of what waited for an answer: without what came with it, or is older than all of it and found by scrolling. */
  sift() {
    this.waiting = this.waiting.filter((item) => !this.rows.isBelow(item.key) && !(item.fields && this.rows.holds(item.exchange, item.fields.id)));
  }

  joined(complete = false) {
    this.joining = false;
    this.sift();
    if (complete) this.attach();
    else this.detach();
  }

  /** The newest entries, whatever is in the document. */
  jump() {
    if (this.attached) {
      this.rows.toTop();
      this.flush(true);
      return undefined;
    }
    return this.renew();
  }

  renew() {
    this.waiting = [];
    this.cursor = null;
    this.join();
    return this.ask({}, ({ rows, end }) => {
      this.rows.toTop(); // before the rows change: afterwards it would cost a layout
      this.rows.clear();
      this.rows.end.replaceWith(end);
      this.rows.add(rows, "below");
      this.rows.relate();
      this.joining = false;
      this.fresh = 0;
      this.sift();
      this.attach();
      this.schedule(true);
    }, (why) => {
      this.missed = true; // whoever asks again means the newest ones
      this.rows.toTop(); // where it is said
      return this.sayAbove(fill(gettext("The newest entries could not be loaded: %(why)s"), { why }));
    });
  }

  /** The server answers again: what could not be loaded is asked for once more. */
  resume() {
    if (!this.troubled) return;
    this.troubled = false;
    this.goOn();
  }

  /** Another filter: everything is asked for anew, and what comes live obeys it at once. */
  narrow(filter) {
    this.reach.filter = filter;
    this.detach();
    // The old rows are none of the new filter's, and nothing may be asked for on from them. Their room stays until the
    // answer: else the page would jump under the hands of whoever types.
    this.list.style.minBlockSize = `${this.list.offsetHeight}px`;
    this.rows.clear();
    this.rows.end.replaceChildren();
    return this.renew();
  }
}
