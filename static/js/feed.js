// The list of entries: newest first, each exactly once, a bounded number of rows in the document.

import { refreshTimes } from "./clock.js";
import { brokenRow, entryRow, fillOpened, gapRow, relate } from "./rows.js";

const SLICE_MS = 8; // of a frame of 16 ms: the rest is for layout and for whoever types or scrolls
const WIDE = matchMedia("(width >= 1180px)");
const NEAR_TOP = 80; // px: who has scrolled further down is reading, and nothing moves under their eyes

/** Stream ids as text do not sort; a key is [milliseconds, sequence, exchange]. */
const keyOf = (exchange, id) => {
  const [ms, sequence] = id.split("-");
  return [BigInt(ms), BigInt(sequence), exchange];
};
const isNewer = (a, b) => (a[0] !== b[0] ? a[0] > b[0] : a[1] !== b[1] ? a[1] > b[1] : a[2] < b[2]);
const nameOf = (exchange, id) => `${id}@${exchange}`;
const isNewerRow = (row, key) => "id" in row.dataset && isNewer(keyOf(row.dataset.exchange, row.dataset.id), key);

export class Feed {
  /** `shown(cursors)` is called when this page has dealt with everything up to these ids. */
  constructor(root, { after, limit, scrollLimit, history, shown }) {
    this.root = root;
    this.list = root.querySelector("[data-rows]");
    this.news = root.querySelector("[data-news]");
    this.limit = limit;
    this.scrollLimit = scrollLimit;
    this.history = history;
    this.shown = shown;
    this.cursors = { ...after };
    this.waiting = []; // at most twice `limit` entries: see bound()
    this.floor = null; // the newest entry that was passed over
    this.left = false; // whether rows left the document, or never came in: they are reached by the link to older entries
    this.held = new Set(); // every entry that is in the list or waits: a stream that began anew may use its ids again
    for (const row of this.list.querySelectorAll(":scope > .entry")) this.held.add(nameOf(row.dataset.exchange, row.dataset.id));
    this.frame = 0;
    this.beside = root.parentElement.classList.contains("net");
    this.news.addEventListener("click", () => this.jump());
    this.list.addEventListener("click", (event) => {
      if (event.target.closest("[data-older]") && this.count() < this.scrollLimit) {
        event.preventDefault();
        this.loadOlder();
      }
    });
    const toggled = (details) => {
      fillOpened(details);
      if (!details.open && this.waiting.length) this.schedule(); // what came while somebody read it
    };
    this.list.addEventListener("toggle", (event) => toggled(event.target), { capture: true });
    document.addEventListener("scroll", () => this.onScroll(), { capture: true, passive: true });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.frame) this.flush(); // the frame that it waits for is not drawn any more
    });
    this.watchEnd();
  }

  count() {
    return this.list.childElementCount - 1;
  }

  /** Entries of one frame. What is not newer than the exchange's cursor was here before. */
  add(exchange, entries) {
    let last = this.cursors[exchange];
    for (const fields of entries) {
      const key = keyOf(exchange, fields.id);
      if (last !== undefined && !isNewer(key, keyOf(exchange, last))) continue;
      last = fields.id;
      const name = nameOf(exchange, fields.id);
      if (this.history || this.held.has(name)) continue;
      this.held.add(name);
      this.waiting.push({ key, exchange, fields });
    }
    if (last !== undefined) this.cursors[exchange] = last;
    this.schedule();
  }

  /** The server cannot go on from our cursor. */
  gap(exchange, after, first) {
    const began = first === null || !isNewer(keyOf(exchange, first), keyOf(exchange, after));
    if (began) this.cursors[exchange] = "0-0"; // a stream that began anew counts from the start
    if (this.history) return;
    this.waiting.push({ key: keyOf(exchange, after), exchange, gap: { after, first: began ? null : first } });
    this.schedule();
  }

  /** `asked`: whoever reads has asked for what waits, so it comes although a row is open. */
  schedule(asked = false) {
    if (this.waiting.length > 2 * this.limit) this.bound();
    if (document.hidden) this.flush(asked); // no frames are drawn in a hidden tab, and its acknowledgements must go on
    else if (!this.frame) this.frame = requestAnimationFrame(() => this.flush(asked));
  }

  /** Keep what belongs to the newest `limit` of all entries. What is older waits behind the link to older entries. */
  bound() {
    this.waiting.sort((a, b) => (isNewer(a.key, b.key) ? -1 : isNewer(b.key, a.key) ? 1 : 0));
    if (this.waiting.length <= this.limit) return;
    this.floor = this.waiting[this.limit].key;
    this.left = true;
    for (const { exchange, fields } of this.waiting.splice(this.limit)) if (fields) this.held.delete(nameOf(exchange, fields.id));
  }

  /** Whether the reader is at the newest entries and reads none of them, so that rows may be added above. */
  following() {
    if (this.list.querySelector(":scope > .entry > details[open]")) return false;
    return this.ownScroll() ? this.list.scrollTop < NEAR_TOP : this.list.getBoundingClientRect().top > -NEAR_TOP;
  }

  /** Beside the cards the list scrolls by itself, elsewhere with the page (layout.css). */
  ownScroll() {
    return this.beside && WIDE.matches;
  }

  flush(asked = false) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.bound();
    this.asked = asked && this.waiting.length > 0;
    const following = !this.waiting.length || asked || this.following();
    if (following && this.waiting.length) this.render();
    this.sayNews(following);
    this.shown(this.cursors);
  }

  /** Rows for what waits, newest first, as many as fit into a part of a frame; the rest follows in the next ones. */
  render() {
    if (this.floor) {
      // More came than a page holds: rows that are older than what was passed over would stand below a hole.
      while (this.count() && !isNewerRow(this.end().previousElementSibling, this.floor)) this.remove(this.end().previousElementSibling);
      this.floor = null;
    }
    const until = performance.now() + SLICE_MS;
    let done = 0;
    let next = this.list.firstElementChild;
    let run = document.createDocumentFragment();
    for (const item of this.waiting) {
      if (done && performance.now() > until && !document.hidden) break;
      done += 1;
      if (isNewerRow(next, item.key)) {
        next.before(run);
        run = document.createDocumentFragment();
        while (isNewerRow(next, item.key)) next = next.nextElementSibling;
      }
      run.append(this.rowOf(item));
    }
    next.before(run);
    this.waiting.splice(0, done);
    this.trim();
    relate(this.list);
    if (this.waiting.length) this.schedule(this.asked);
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

  remove(row) {
    if (row.classList.contains("entry")) this.held.delete(nameOf(row.dataset.exchange, row.dataset.id));
    row.remove();
    this.left = true;
  }

  end() {
    return this.list.lastElementChild;
  }

  /** Keep the newest rows; what leaves is found again by the link to older entries. */
  trim() {
    const end = this.end();
    while (this.count() > this.limit) this.remove(end.previousElementSibling);
    const last = end.previousElementSibling?.dataset;
    if (!last) return;
    if ("empty" in end.dataset) {
      end.textContent = "The history begins here.";
      delete end.dataset.empty;
    }
    if (this.left && (last.id !== this.oldest?.id || last.exchange !== this.oldest?.exchange)) {
      const link = document.createElement("a");
      link.dataset.older = "";
      link.href = `${location.pathname}?before=${encodeURIComponent(`${last.id}@${last.exchange}`)}#activity`;
      link.textContent = "Older entries";
      end.replaceChildren(link);
      this.oldest = { ...last };
    }
  }

  sayNews(following) {
    const waiting = this.waiting.length;
    this.news.hidden = following;
    const words = this.floor ? `More than ${this.limit} new entries` : waiting === 1 ? "1 new entry" : `${waiting} new entries`;
    if (!following) this.news.lastElementChild.textContent = words;
  }

  jump() {
    if (this.ownScroll()) this.list.scrollTop = 0;
    else this.root.scrollIntoView({ block: "start" });
    this.flush(true);
  }

  /** Who scrolls back to the top gets what waited; who scrolls down to the end gets what is older. */
  onScroll() {
    this.scrolled = true;
    if (this.waiting.length && !this.frame) this.frame = requestAnimationFrame(() => this.flush());
  }

  watchEnd() {
    const sight = new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting) && this.scrolled && this.count() < this.scrollLimit) this.loadOlder();
    });
    sight.observe(this.end());
    this.sight = sight;
  }

  async loadOlder() {
    const end = this.end();
    const link = end.querySelector("[data-older]");
    if (!link || this.loading) return;
    this.loading = true;
    const asked = link.href;
    const url = new URL(asked);
    url.searchParams.set("rows", "1");
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(15000) });
      if (response.redirected) throw new Error("you are signed out");
      const text = await response.text();
      if (!response.ok) throw new Error(response.status === 503 ? text : `the server answered ${response.status}`);
      // Rows may have left or come meanwhile: then what was fetched no longer continues the list.
      if (link.isConnected && link.href === asked) this.append(text);
    } catch (error) {
      link.textContent = `Older entries could not be loaded: ${error.message.slice(0, 200)}. Try again`;
    } finally {
      this.loading = false;
    }
  }

  append(html) {
    const rows = new DOMParser().parseFromString(`<ol>${html}</ol>`, "text/html").querySelector("ol");
    refreshTimes(rows);
    this.sight.unobserve(this.end());
    for (const row of rows.querySelectorAll(":scope > .entry")) this.held.add(nameOf(row.dataset.exchange, row.dataset.id));
    this.end().replaceWith(...rows.children);
    this.left = false; // the list ends where the server says again
    relate(this.list);
    this.sight.observe(this.end());
  }
}
