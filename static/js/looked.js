// What is new since somebody last looked: a line in the feed, above the first entry that was there then.

import { keyOf, isNewer } from "./order.js";
import { gettext } from "./words.js";

/** Mark in `rows` (a RowList) what came since this page was last left. `newest()` says whether its top is the newest. */
export function watchLooked(rows, newest) {
  const place = `perseus-looked ${location.pathname}`;
  let since = remembered(place); // the newest entry of back then, as a key
  let marked = null;

  function mark() {
    const { top, bottom } = rows;
    if (!since || !top || !bottom || isNewer(keyOfRow(bottom), since)) return;
    let row = marked?.isConnected ? marked : top;
    while (row && (!("id" in row.dataset) || isNewer(keyOfRow(row), since))) row = row.nextElementSibling;
    if (row === marked && row) return;
    marked?.removeAttribute("data-looked");
    marked = row === top ? null : row; // nothing is above it: nothing is new
    marked?.setAttribute("data-looked", gettext("New since you last looked")); // shown by the style sheet
  }

  function leave() {
    const { top } = rows;
    if (!top || !newest() || (since && !isNewer(keyOfRow(top), since))) return;
    since = keyOfRow(top);
    try {
      localStorage.setItem(place, `${top.dataset.id}@${top.dataset.exchange}`);
    } catch {
      // Storage is forbidden or full: the next visit marks nothing, or from an earlier one.
    }
    marked?.removeAttribute("data-looked");
    marked = null;
  }

  rows.onChange = mark;
  mark();
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) leave();
  });
}

const keyOfRow = (row) => keyOf(row.dataset.exchange, row.dataset.id);

function remembered(place) {
  try {
    const text = localStorage.getItem(place);
    return text ? keyOf(...text.split("@").reverse()) : null;
  } catch {
    return null; // storage is forbidden in this browser, or holds what we did not write
  }
}
