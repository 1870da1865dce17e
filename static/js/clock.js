// The server's clock in this page, and everything on it that tells a time.
//
// Ages never come from this machine's wall clock: the page says when the server made it, and performance.now() counts on
// from there. performance.now() stands still while a machine sleeps; the wall clock's jump then tells for how long.

import { ago, day, duration, inCalendar } from "./text.js";

const SLEPT_MS = 5000; // a jump of the wall clock against performance.now() beyond this counts as sleep
const two = (number) => String(number).padStart(2, "0");

let base = Date.now(); // the server's time at performance.now() === 0
let drift = Date.now() - performance.now();
let zone = "utc";
const zoneChanged = new Set();
const perSecond = new Set();
const afterSleep = new Set();

/** Milliseconds since 1970 by the server's clock. */
export const now = () => Math.round(base + performance.now());

/** Do one of several things: its failure is said in the console, and does not keep the others from being done. */
export function attempt(call) {
  try {
    return call();
  } catch (error) {
    console.error(error);
    return undefined;
  }
}

/** Call a function every second, after the durations on the page were brought up to date. */
export const everySecond = (call) => perSecond.add(call);

/** Call a function when another zone is chosen. */
export const onZone = (call) => zoneChanged.add(call);

/** Hours and minutes in the zone that the page shows; midnight is named by its day. */
export function hourText(at) {
  const p = parts(at);
  return p.h === 0 && p.m === 0 ? dayOf(p) : `${two(p.h)}:${two(p.m)}`;
}

/** Call a function with the milliseconds that this machine slept. */
export const onWake = (call) => afterSleep.add(call);

const parts = (at) => {
  const d = new Date(at);
  return zone === "utc"
    ? { year: d.getUTCFullYear(), month: d.getUTCMonth(), date: d.getUTCDate(), h: d.getUTCHours(), m: d.getUTCMinutes(), s: d.getUTCSeconds() }
    : { year: d.getFullYear(), month: d.getMonth(), date: d.getDate(), h: d.getHours(), m: d.getMinutes(), s: d.getSeconds() };
};
const dayOf = (p) => day(p.date, p.month);
const sameDay = (a, b) => a.date === b.date && a.month === b.month && a.year === b.year;

/** Write a moment into a <time>, in the zone that the page shows. What no calendar has is no moment. */
export function writeTime(element, moment) {
  const at = inCalendar(moment);
  element.hidden = at === null;
  if (at === null) {
    element.removeAttribute("datetime");
    element.replaceChildren();
    return;
  }
  const stamp = new Date(at).toISOString();
  const p = parts(at);
  const precision = element.dataset.precision;
  const date = precision === "day" && !sameDay(p, parts(now())) ? `${dayOf(p)}, ` : "";
  element.setAttribute("datetime", stamp);
  element.textContent = `${date}${two(p.h)}:${two(p.m)}:${two(p.s)}`;
  if (precision === "ms") {
    const ms = document.createElement("span");
    ms.className = "ms";
    ms.textContent = `.${stamp.slice(-4, -1)}`;
    element.append(ms);
  }
}

/** The text of a duration: for, ago, left, or day (ago, with the day unless it is today). */
export function durationText(kind, at, moment = now()) {
  const seconds = (moment - at) / 1000;
  if (kind === "left") return duration(-seconds);
  if (kind === "for") return duration(seconds);
  const then = parts(at);
  if (kind === "day" && !sameDay(then, parts(moment))) return `${dayOf(then)}, ${ago(seconds)}`;
  return ago(seconds);
}

/** Set a duration's moment, or hide it. */
export function writeTick(element, moment) {
  const at = inCalendar(moment);
  element.hidden = at === null;
  if (at === null) {
    delete element.dataset.at;
    element.textContent = "";
    return;
  }
  element.dataset.at = at;
  element.textContent = durationText(element.dataset.tick, at);
}

function tick() {
  const moment = now();
  for (const element of document.querySelectorAll("[data-tick][data-at]")) {
    const text = durationText(element.dataset.tick, Number(element.dataset.at), moment);
    if (element.textContent !== text) element.textContent = text;
  }
  for (const call of perSecond) attempt(() => call(moment));
}

/** Look whether this machine slept; the ages then grow by that. */
export function checkSleep() {
  const jump = Date.now() - performance.now() - drift;
  drift += jump;
  if (jump > SLEPT_MS) {
    base += jump;
    for (const call of afterSleep) call(jump);
  }
}

/** Show the times inside `root`, which the server wrote in UTC, in the zone of the page. */
export function refreshTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) writeTime(element, Date.parse(element.dateTime));
}

function setZone(wanted) {
  zone = wanted === "local" ? "local" : "utc";
  for (const button of document.querySelectorAll("[data-zone]")) {
    button.setAttribute("aria-pressed", String(button.dataset.zone === zone));
  }
  refreshTimes(document);
  for (const call of zoneChanged) call();
  tick();
}

/** Start with the moment (ms) at which the server made the page. A page may fix the zone, against what was chosen. */
export function startClock(serverNow, { still = false, zone: fixed = null } = {}) {
  // The page was made shortly before its first byte arrived; the difference is the network's, and below a second.
  const [navigation] = performance.getEntriesByType("navigation");
  base = serverNow - (navigation?.responseStart ?? performance.now());
  let remembered = fixed;
  try {
    remembered ??= localStorage.getItem("perseus-zone");
  } catch {
    // Storage is forbidden in this browser: every page starts with UTC.
  }
  setZone(remembered);
  for (const button of document.querySelectorAll("[data-zone]")) {
    button.addEventListener("click", () => {
      setZone(button.dataset.zone);
      try {
        localStorage.setItem("perseus-zone", button.dataset.zone);
      } catch {
        // It holds for this page then.
      }
    });
  }
  if (still) return;
  setInterval(() => {
    checkSleep();
    tick();
  }, 1000);
}
