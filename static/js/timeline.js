// The timeline is drawn by the server. This asks for it again: as somebody moves or zooms it, and as entries arrive.

import { hourText, now, onZone } from "./clock.js";

const TIMEOUT_MS = 15000;
const SETTLE_MS = 250; // after the last movement of a wheel or a hand
const FRESH_MS = 1000; // between two drawings while entries arrive
const DRIFT_MS = 15000; // without entries, now moves on by itself
const LONGEST_MS = 90 * 86400000 - 60000; // the server allows 90 days, and ends a window later than it was asked for

let root = document.querySelector("[data-timeline]");
let busy = false;
let again = null;
let timer = 0;
let drawn = performance.now();
let width = 0; // of a window without a name while it follows: what each answer came too late by would widen it
let opened = false; // the table; an answer without one, while Redis is away, does not close it

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
  let placed = false;
  try {
    const response = await fetch(`${root.dataset.href}?${new URLSearchParams(query)}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    placed = (response.ok || response.status === 503) && replace(await response.text());
  } catch {
    // As an answer that is no timeline: one of a proxy, or the page to sign in.
  } finally {
    if (!placed) root.classList.add("stale"); // what is drawn stays, greyed, until the next answer
    busy = false;
    drawn = performance.now();
    if (again) {
      const wish = again;
      again = null;
      ask(wish);
    }
  }
}

/** Where the keyboard is, in words that hold for the next drawing too. Of a row that is gone then, the table's head. */
function placeOf(element) {
  const { span, move: to, band } = element.dataset;
  if (span) return `[data-span="${span}"]`;
  if (to) return `[data-move="${to}"]`;
  if (band !== undefined) return "[data-band]";
  const href = element.closest("details") && element.getAttribute("href");
  return href ? `details a[href="${CSS.escape(href)}"]` : element.closest("details") ? "summary" : "";
}

/** Put an answer in the place of what is drawn. False where it has no timeline. */
function replace(html) {
  const table = root.querySelector("details");
  if (table) opened = table.open;
  const place = root.contains(document.activeElement) ? placeOf(document.activeElement) : "";
  const holder = document.createElement("template");
  holder.innerHTML = html; // made by our own server, which escapes what entries hold
  const fresh = holder.content.querySelector("[data-timeline]");
  if (!fresh) return false;
  root.replaceWith(fresh);
  root = fresh;
  const anew = root.querySelector("details");
  if (anew) anew.open = opened;
  if (place) (root.querySelector(place) ?? (place.startsWith("details") ? root.querySelector("summary") : null))?.focus({ preventScroll: true });
  label();
  listen();
  return true;
}

/** The same window, later or earlier, wider or narrower; at the newest end it follows the time again. */
function show(begin, end) {
  const moment = now();
  clearTimeout(timer);
  timer = setTimeout(() => {
    width = 0;
    ask(end >= moment ? { begin: Math.round(begin - (end - moment)), end: "" } : { begin: Math.round(begin), end: Math.round(end) });
  }, SETTLE_MS);
}

function zoom(factor, at = 0.5) {
  const { begin, end } = windowOf();
  const width = Math.min(LONGEST_MS, Math.max(10000, (end - begin) * factor));
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
      width = 0;
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
  if (!root || busy || !windowOf().follows || document.hidden || root.querySelector("[data-band]:active")) return;
  if (performance.now() - drawn < (entries ? FRESH_MS : DRIFT_MS)) return;
  const { begin, end } = windowOf();
  const span = root.querySelector("[data-span][aria-current]")?.dataset.span;
  width ||= Math.min(LONGEST_MS, end - begin);
  ask(span ? { span } : { begin: now() - width });
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
