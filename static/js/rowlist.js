// The rows in the document: a bounded window of the whole history, without a hole, whichever way it moves.

import { refreshTimes } from "./clock.js";
import { isNewer, keyOf, nameOf } from "./order.js";
import { relate } from "./rows.js";

const WIDE = matchMedia("(width >= 1180px)");
const NEAR_TOP = 80; // px: who has scrolled further down is reading, and nothing moves under their eyes
const NEAR_END = 1500; // px before either end at which more is asked for, so that nobody has to wait for it

const isEntry = (row) => row.classList.contains("entry");
const isRow = (row) => isEntry(row) || row.classList.contains("rule");
const keys = new WeakMap(); // of rows: the same few are asked for with every entry of a storm
const keyOfRow = (row) => {
  let key = keys.get(row);
  if (!key) keys.set(row, (key = keyOf(row.dataset.exchange, row.dataset.id)));
  return key;
};
const nameOfRow = (row) => `${isEntry(row) ? "" : "gap "}${nameOf(row.dataset.exchange, row.dataset.id)}`;

export class RowList {
  /** `limit` rows are kept at the most. */
  constructor(root, limit) {
    this.root = root;
    this.list = root.querySelector("[data-rows]");
    this.limit = limit;
    this.beside = root.parentElement.classList.contains("net");
    this.held = new Set(); // every row in the list: a stream that began anew may use its ids again
    this.rows = 0;
    for (const row of this.list.children) if (isRow(row)) this.note(row);
  }

  note(row) {
    this.held.add(nameOfRow(row));
    this.rows += 1;
  }

  remove(row) {
    this.held.delete(nameOfRow(row));
    this.rows -= 1;
    row.remove();
  }

  holds(exchange, id) {
    return this.held.has(nameOf(exchange, id));
  }

  /** The last child says what is older; the first one, only where there is something newer, leads there. */
  get end() {
    return this.list.lastElementChild;
  }

  get start() {
    const first = this.list.firstElementChild;
    return "above" in first.dataset ? first : null;
  }

  get top() {
    const first = this.start ? this.start.nextElementSibling : this.list.firstElementChild;
    return isRow(first) ? first : null;
  }

  get bottom() {
    const last = this.end.previousElementSibling;
    return last && isRow(last) ? last : null;
  }

  /** Where the rows end at the top, as a cursor: what is above it is not in the document. */
  get above() {
    return this.top ? `${this.top.dataset.id}@${this.top.dataset.exchange}` : null;
  }

  isAbove(key) {
    const { top } = this;
    return !top || isNewer(key, keyOfRow(top));
  }

  /** Whether the key is older than every row and the server has more there: whoever scrolls down finds it. */
  isBelow(key) {
    const { bottom } = this;
    return Boolean(bottom && isNewer(keyOfRow(bottom), key) && this.end.querySelector("[data-older]"));
  }

  /** Put rows where they belong: `{key, row}`, newest first. */
  insert(items) {
    let next = this.top ?? this.end;
    let run = document.createDocumentFragment();
    for (const { key, row } of items) {
      if (isRow(next) && isNewer(keyOfRow(next), key)) {
        next.before(run);
        run = document.createDocumentFragment();
        while (isRow(next) && isNewer(keyOfRow(next), key)) next = next.nextElementSibling;
      }
      if (this.held.has(nameOfRow(row))) continue;
      this.note(row);
      run.append(row);
    }
    next.before(run);
  }

  /** Rows that the server rendered, above or below all others. */
  add(rows, where) {
    const fresh = rows.filter((row) => !this.held.has(nameOfRow(row)));
    for (const row of fresh) {
      refreshTimes(row);
      this.note(row);
    }
    if (where === "below") this.end.before(...fresh);
    else if (this.start) this.start.after(...fresh);
    else this.list.prepend(...fresh);
  }

  clear() {
    for (const row of [...this.list.children]) if (isRow(row)) this.remove(row);
  }

  /** Drop what is beyond the limit at one end; whether anything was dropped. An end is never a gap: it is found again. */
  trim(end) {
    const last = () => (end === "bottom" ? this.bottom : this.top);
    if (this.rows <= this.limit) return false;
    while (this.rows > this.limit || (this.rows && !isEntry(last()))) this.remove(last());
    return true;
  }

  /** The lowest of the rows that somebody reads: in sight, open, or with the focus. */
  lowestRead() {
    const edge = this.bottomEdge;
    const isRead = (row) => row.getBoundingClientRect().top < edge || row.matches(":focus-within, :has(> details[open])");
    let row = this.bottom;
    while (row && isRow(row) && !isRead(row)) row = row.previousElementSibling;
    return row && isRow(row) ? row : null;
  }

  /** Whether `trim(end)` would drop the row. */
  isBeyond(row, end) {
    const step = end === "bottom" ? "nextElementSibling" : "previousElementSibling";
    let left = this.rows - this.limit;
    for (let other = row[step]; other && isRow(other); other = other[step]) left -= 1;
    return left > 0;
  }

  dropOlderThan(key) {
    while (this.bottom && isNewer(key, keyOfRow(this.bottom))) this.remove(this.bottom);
  }

  relate() {
    relate(this.list);
    this.onChange?.();
  }

  /** Change the rows without moving those in sight. */
  keepPlace(change) {
    const row = this.rowInSight();
    const before = row?.getBoundingClientRect().top;
    change();
    if (!row?.isConnected) return;
    const moved = row.getBoundingClientRect().top - before;
    if (Math.abs(moved) >= 1) this.scroller.scrollTop += moved;
  }

  /** The topmost row in sight; null while the top of the list itself is in sight or the list is not. */
  rowInSight() {
    const rows = this.list.children;
    const edge = this.edge;
    let [low, high] = [0, rows.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].getBoundingClientRect().bottom > edge) high = middle;
      else low = middle + 1;
    }
    return isRow(rows[low]) ? rows[low] : isRow(rows[low + 1] ?? this.end) ? rows[low + 1] : null;
  }

  /** Beside the cards the list scrolls by itself, elsewhere with the page (layout.css). */
  get scroller() {
    return this.beside && WIDE.matches ? this.list : document.scrollingElement;
  }

  get edge() {
    return this.scroller === this.list ? this.list.getBoundingClientRect().top : 0;
  }

  /** Whether the reader is at the top and reads none of the rows, so that others may be added above. */
  atTop() {
    if (this.list.querySelector(":scope > .entry > details[open]")) return false;
    return this.scroller === this.list ? this.list.scrollTop < NEAR_TOP : this.list.getBoundingClientRect().top > -NEAR_TOP;
  }

  toTop() {
    if (this.scroller === this.list) this.list.scrollTop = 0;
    else if (this.list.getBoundingClientRect().top < 0) this.root.scrollIntoView({ block: "start" });
  }

  get bottomEdge() {
    return this.scroller === this.list ? this.list.getBoundingClientRect().bottom : innerHeight;
  }

  nearEnd() {
    return this.end.getBoundingClientRect().top < this.bottomEdge + NEAR_END;
  }

  nearStart() {
    return this.list.firstElementChild.getBoundingClientRect().bottom > this.edge - NEAR_END;
  }
}
