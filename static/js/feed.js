// The list of entries: newest first, each exactly once, a bounded number of rows in the document.

import { refreshTimes } from "./clock.js";
import { entryRow, gapRow } from "./rows.js";

const NEAR_TOP = 80; // px: who has scrolled further down is reading, and nothing moves under their eyes

/** Stream ids as text do not sort; a key is [milliseconds, sequence, exchange]. */
const keyOf = (exchange, id) => {
  const [ms, sequence] = id.split("-");
  return [BigInt(ms), BigInt(sequence), exchange];
};
const isNewer = (a, b) => (a[0] !== b[0] ? a[0] > b[0] : a[1] !== b[1] ? a[1] > b[1] : a[2] < b[2]);
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
    this.waiting = []; // newest last; bounded: of more than `limit`, the oldest go, and the list then starts anew
    this.overflowed = false;
    this.frame = 0;
    this.news.addEventListener("click", () => this.jump());
    this.list.addEventListener("click", (event) => {
      if (event.target.closest("[data-older]") && this.count() < this.scrollLimit) {
        event.preventDefault();
        this.loadOlder();
      }
    });
    document.addEventListener("scroll", () => this.onScroll(), { capture: true, passive: true });
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
      if (!this.history) this.waiting.push({ key, exchange, fields });
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

  schedule() {
    if (this.waiting.length > this.limit) {
      this.waiting.splice(0, this.waiting.length - this.limit);
      this.overflowed = true;
    }
    if (document.hidden) this.flush(); // no frames are drawn in a hidden tab, and its acknowledgements must go on
    else if (!this.frame) this.frame = requestAnimationFrame(() => this.flush());
  }

  /** Whether the reader is at the newest entries, so that rows may be added above. */
  following() {
    if (this.ownScroll()) return this.list.scrollTop < NEAR_TOP;
    return this.list.getBoundingClientRect().top > -NEAR_TOP;
  }

  ownScroll() {
    return getComputedStyle(this.list).overflowY === "auto";
  }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (this.waiting.length && this.following()) this.render();
    this.sayNews();
    this.shown(this.cursors);
  }

  render() {
    const batch = this.waiting.sort((a, b) => (isNewer(a.key, b.key) ? -1 : isNewer(b.key, a.key) ? 1 : 0));
    const anew = this.overflowed;
    this.waiting = [];
    this.overflowed = false;
    // More came than a page holds while its reader was elsewhere: the rows below would be older than a hole.
    if (anew) this.list.replaceChildren(this.end());
    let next = this.list.firstElementChild;
    let run = document.createDocumentFragment();
    for (const item of batch) {
      if (isNewerRow(next, item.key)) {
        next.before(run);
        run = document.createDocumentFragment();
        while (isNewerRow(next, item.key)) next = next.nextElementSibling;
      }
      run.append(item.gap ? gapRow(item.exchange, item.gap.after, item.gap.first) : entryRow(item.exchange, item.fields));
    }
    next.before(run);
    if (this.count() > this.limit || anew) this.trim();
    else if ("empty" in this.end().dataset) this.end().textContent = "The history begins here.";
  }

  end() {
    return this.list.lastElementChild;
  }

  /** Keep the newest rows; what leaves is found again by the link to older entries. */
  trim() {
    while (this.count() > this.limit) this.end().previousElementSibling.remove();
    const rows = this.list.querySelectorAll(".entry");
    const last = rows[rows.length - 1].dataset;
    const link = document.createElement("a");
    link.dataset.older = "";
    link.href = `${location.pathname}?before=${encodeURIComponent(`${last.id}@${last.exchange}`)}#activity`;
    link.textContent = "Older entries";
    this.end().replaceChildren(link);
  }

  sayNews() {
    const waiting = this.waiting.length;
    this.news.hidden = waiting === 0;
    const words = this.overflowed ? `More than ${this.limit} new entries` : waiting === 1 ? "1 new entry" : `${waiting} new entries`;
    if (waiting) this.news.lastElementChild.textContent = words;
  }

  jump() {
    if (this.ownScroll()) this.list.scrollTop = 0;
    else this.root.scrollIntoView({ block: "start" });
    this.flush();
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
    this.end().replaceWith(...rows.children);
    this.sight.observe(this.end());
  }
}
