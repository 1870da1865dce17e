// What the network page has beside cards and feed: on each card in sight the states of its last six hours.

import { everySecond } from "./clock.js";
import { extend, isHeard } from "./page.js";

const EVERY_MS = 60000; // the band is 6 h wide: a minute is a pixel
const SOON_MS = 15000; // after an entry of the exchange, in a storm too, and after an answer that did not come
const KEPT_MS = 10000; // the server shows what it drew for so long (STRIP_SECONDS in activity/views_timeline.py)
const TIMEOUT_MS = 10000;

const inSight = new Set();
const drawn = new WeakMap();
const besides = new WeakMap(); // what the card said when the band was drawn
const changed = new Map(); // since when, by exchange
let asking = false; // one at a time: a hundred cards that are scrolled past are no hundred requests at once

function next() {
  const moment = performance.now();
  return [...inSight].find((band) => {
    const card = band.closest("[data-card]");
    const says = /lost|ended/.test(card.dataset.cond) + card.querySelector("[data-state]").dataset.state;
    if (besides.get(band) !== says) {
      if (besides.has(band)) changed.set(band.dataset.strip, moment);
      besides.set(band, says);
      drawn.delete(band); // no band stays green beside a card that says lost
    }
    return moment - (drawn.get(band) ?? -Infinity) > (changed.has(band.dataset.strip) ? SOON_MS : EVERY_MS);
  });
}

async function draw(band) {
  const name = band.dataset.strip;
  const began = performance.now();
  asking = true;
  drawn.set(band, began);
  try {
    const response = await fetch(`${band.dataset.page}strip/`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok || response.redirected) throw response; // the page itself says that it is signed out, or what is away
    const found = new DOMParser().parseFromString(await response.text(), "text/html").body;
    band.querySelector("[data-drawn]").replaceChildren(...found.children);
    if (began - changed.get(name) > KEPT_MS) changed.delete(name); // else it may have been drawn before the change
  } catch {
    changed.set(name, began);
  } finally {
    asking = false;
    if (inSight.size) go();
  }
}

/** Draw the next card that wants it. */
function go() {
  if (asking || document.hidden || !isHeard()) return;
  const band = next();
  if (band) draw(band);
}

const observer = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (isIntersecting) inSight.add(target);
    else inSight.delete(target);
  }
});
for (const band of document.querySelectorAll("[data-strip]")) observer.observe(band);
everySecond(go);
extend({ entriesArrived: (exchange) => changed.set(exchange, performance.now()) });
