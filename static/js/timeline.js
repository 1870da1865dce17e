// The timeline is drawn by the server. This asks for it again: as somebody moves or zooms it, and as entries arrive.

import { hourText, onZone } from "./clock.js";

const TIMEOUT_MS = 15000;
const SETTLE_MS = 250; // after the last movement of a wheel or a hand
const FRESH_MS = 1000; // between two drawings while entries arrive
const DRIFT_MS = 15000; // without entries, now moves on by itself

let root = document.querySelector("[data-timeline]");
let busy = false;
let again = null;
let timer = 0;
let drawn = performance.now();

const windowOf = () => ({ begin: Number(root.dataset.begin), end: Number(root.dataset.end), follows: root.dataset.now === "1" });

function label() {
  for (const text of root.querySelectorAll("[data-axis]")) text.textContent = hourText(Number(text.dataset.axis));
}

async function ask(query) {
  if (busy) {
    again = query; // only the newest wish counts
    return;
  }
  busy = true;
  try {
    const response = await fetch(`${root.dataset.href}?${new URLSearchParams(query)}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.ok || response.status === 503) replace(await response.text());
  } catch {
    root.classList.add("stale"); // what is drawn stays, greyed, until the next answer
  } finally {
    busy = false;
    drawn = performance.now();
    if (again) {
      const wish = again;
      again = null;
      ask(wish);
    }
  }
}

function replace(html) {
  const opened = root.querySelector("details")?.open ?? false;
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset : null;
  const holder = document.createElement("template");
  holder.innerHTML = html; // made by our own server, which escapes what entries hold
  const fresh = holder.content.querySelector("[data-timeline]");
  if (!fresh) return;
  root.replaceWith(fresh);
  root = fresh;
  if (opened) root.querySelector("details").open = true;
  const again = focused && (focused.span ? `[data-span="${focused.span}"]` : focused.move ? `[data-move="${focused.move}"]` : "band" in focused ? "[data-band]" : "");
  if (again) root.querySelector(again)?.focus({ preventScroll: true });
  label();
  listen();
}

/** The same window, later or earlier, wider or narrower; at the newest end it follows the time again. */
function show(begin, end) {
  const now = Date.now();
  clearTimeout(timer);
  timer = setTimeout(() => ask(end >= now ? { begin: Math.round(begin - (end - now)), end: "" } : { begin: Math.round(begin), end: Math.round(end) }), SETTLE_MS);
}

function zoom(factor, at = 0.5) {
  const { begin, end } = windowOf();
  const width = Math.min(90 * 86400000, Math.max(10000, (end - begin) * factor));
  const middle = begin + (end - begin) * at;
  show(middle - width * at, middle + width * (1 - at));
}

function move(part) {
  const { begin, end } = windowOf();
  show(begin + (end - begin) * part, end + (end - begin) * part);
}

function listen() {
  for (const link of root.querySelectorAll("[data-span], [data-move]")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      ask(Object.fromEntries(new URL(link.href).searchParams));
    });
  }
  const band = root.querySelector("[data-band]");
  if (!band) return;
  const strip = band.querySelector("svg");
  band.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return; // the page scrolls
    event.preventDefault();
    const box = band.getBoundingClientRect();
    if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.4 : 1 / 1.4, (event.clientX - box.left) / box.width);
    else move(event.deltaX / box.width);
  }, { passive: false });
  band.addEventListener("keydown", (event) => {
    const act = { ArrowLeft: () => move(-0.25), ArrowRight: () => move(0.25), "+": () => zoom(0.5), "-": () => zoom(2) }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  band.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const from = event.clientX;
    const width = band.getBoundingClientRect().width;
    let dragged = 0;
    const drag = (to) => {
      dragged = to.clientX - from;
      if (Math.abs(dragged) > 3) strip.setAttribute("transform", `translate(${dragged} 0)`);
    };
    const end = () => {
      removeEventListener("pointermove", drag);
      removeEventListener("pointerup", end);
      if (Math.abs(dragged) <= 3) return;
      band.addEventListener("click", (click) => click.preventDefault(), { capture: true, once: true });
      move(-dragged / width);
    };
    addEventListener("pointermove", drag);
    addEventListener("pointerup", end);
  });
}

/** Draw anew where the window reaches up to now: at once after entries, else now and then. */
function follow(entries) {
  if (!root || !windowOf().follows || document.hidden || root.querySelector("[data-band]:active")) return;
  if (performance.now() - drawn < (entries ? FRESH_MS : DRIFT_MS)) return;
  const { begin, end } = windowOf();
  const span = root.querySelector("[data-span][aria-current]")?.dataset.span;
  ask(span ? { span } : { begin: Date.now() - (end - begin) });
}

let waiting = false;

/** Entries of this exchange arrived. */
export const entriesArrived = () => {
  waiting = true;
};

/** Once a second. */
export function redrawTimeline() {
  follow(waiting);
  if (performance.now() - drawn < FRESH_MS) waiting = false;
}

export function watchTimeline() {
  if (!root) return;
  label();
  onZone(label);
  listen();
}
