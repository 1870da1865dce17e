// Writes facts into the markup that the server rendered. The attributes are those of activity/templatetags/perseus.py.

import { writeTick, writeTime } from "./clock.js";
import { fill, gettext } from "./words.js";

const MARKED =
  "[data-slot],[data-titled],[data-with],[data-without],[data-when],[data-ts],[data-tick],[data-glyph],[data-gauge],[data-href]";
const GAUGE = gettext("Time since the last heartbeat, of the %(lifetime)s s that the key lives");
const isKnown = (value) => value !== "" && value !== null && value !== undefined;

function paintOne(element, facts) {
  const marks = element.dataset;
  if ("slot" in marks) {
    const text = isKnown(facts[marks.slot]) ? String(facts[marks.slot]) : "";
    if (element.textContent !== text) element.textContent = text;
    element.hidden = text === "";
  }
  if (marks.titled) element.title = String(facts[marks.titled] ?? "");
  if ("with" in marks) element.hidden = !marks.with.split(" ").some((name) => isKnown(facts[name]));
  if ("without" in marks) element.hidden = marks.without.split(" ").some((name) => isKnown(facts[name]));
  if ("when" in marks) element.hidden = !marks.when.split(" ").includes(facts.cond);
  if (marks.ts) writeTime(element, facts[marks.ts] ?? null);
  if (marks.of) writeTick(element, facts[marks.of] ?? null);
  if ("glyph" in marks) {
    const state = facts[marks.glyph || "state"] || "";
    marks.state = state;
    const use = element.querySelector("svg.g use");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#s-${state || "idle"}`));
  }
  if ("gauge" in marks) paintGauge(element, facts);
  if (marks.href) element.setAttribute("href", facts[marks.href]);
}

/** The bar of a heartbeat gauge: whole seconds since the last beat. */
export function paintGauge(element, facts, age = 0) {
  const svg = element.firstElementChild;
  svg.setAttribute("viewBox", `0 0 ${facts.lifetime} 1`);
  svg.firstElementChild.setAttribute("width", String(Math.max(0, Math.min(facts.lifetime, age))));
  element.setAttribute("aria-label", fill(GAUGE, facts));
}

/** Bring `root` and everything inside it up to the facts. */
export function paint(root, facts) {
  if (root.matches(MARKED)) paintOne(root, facts);
  for (const element of root.querySelectorAll(MARKED)) paintOne(element, facts);
}
