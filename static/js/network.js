// What the network page has beside cards and feed: on each card in sight the states of its last six hours.

import { everySecond } from "./clock.js";
import { extend, isHeard } from "./page.js";

const EVERY_MS = 60000; // the band is 6 h wide: a minute is a pixel
const SOON_MS = 15000; // after an entry of the exchange, in a storm too
const TIMEOUT_MS = 10000;

const inSight = new Set();
const drawn = new WeakMap();
const changed = new Set();
let asking = false; // one at a time: a hundred cards that are scrolled past are no hundred requests at once

function next() {
  const since = (band) => performance.now() - (drawn.get(band) ?? -Infinity);
  return [...inSight].find((band) => since(band) > (changed.has(band.dataset.strip) ? SOON_MS : EVERY_MS));
}

async function draw(band) {
  asking = true;
  changed.delete(band.dataset.strip);
  drawn.set(band, performance.now());
  try {
    const response = await fetch(`${band.dataset.page}strip/`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok || response.redirected) return; // the page itself says that it is signed out, or what is away
    const found = new DOMParser().parseFromString(await response.text(), "text/html").body;
    band.querySelector("[data-drawn]").replaceChildren(...found.children);
  } catch {
    // Asked again in a minute.
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
extend({ entriesArrived: (exchange) => changed.add(exchange) });
