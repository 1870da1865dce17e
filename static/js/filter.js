// Which entries somebody wants to see: the same rules as activity/filters.py, for entries that come live.

import { stateOf } from "./rows.js";

const SETTLE_MS = 250; // after the last key, so that the server is not asked for every letter

const FIELDS = ["exchange", "event", "state", "host", "admin", "since", "until", "text"];

const millisecondsOf = (id) => BigInt(id.split("-")[0]);

/** Whether an entry `{"id": …, …fields}` of an exchange meets every part of the filter. */
export function matches(filter, exchange, fields) {
  const part = (wanted, value) => !wanted || (value ?? "").toLowerCase().includes(wanted.toLowerCase());
  if (filter.exchange && filter.exchange !== exchange) return false;
  if (filter.event && fields.event !== filter.event) return false;
  if (filter.state && stateOf(fields) !== filter.state) return false;
  if (!part(filter.host, fields.hostname) || !part(filter.admin, fields.adminEmail)) return false;
  if (filter.since && millisecondsOf(fields.id) < BigInt(Date.parse(filter.since))) return false;
  if (filter.until && millisecondsOf(fields.id) > BigInt(Date.parse(filter.until))) return false;
  if (!filter.text) return true;
  const text = filter.text.toLowerCase();
  return Object.entries(fields).some(([name, value]) => name !== "id" && value.toLowerCase().includes(text));
}

/** Whether the filter has room for a gap between two ids (`first` null: up to now), whatever the lost entries were. */
export function heedsGap(filter, exchange, { after, first }) {
  if (filter.exchange && filter.exchange !== exchange) return false;
  if (filter.since && first && millisecondsOf(first) < BigInt(Date.parse(filter.since))) return false;
  return !filter.until || millisecondsOf(after) <= BigInt(Date.parse(filter.until));
}

/** The form above the list. `changed(filter)` is called when somebody has chosen or typed something else. */
export function watchFilter(form, filter, changed) {
  let current = JSON.stringify(filter);
  let timer = 0;
  const apply = () => {
    clearTimeout(timer);
    const chosen = { ...filter };
    for (const name of FIELDS) {
      const element = form.elements[name];
      if (!element) continue;
      const value = element.value.trim();
      if (value) chosen[name] = element.type === "datetime-local" ? `${value}Z` : value;
      else delete chosen[name];
    }
    const text = JSON.stringify(chosen, Object.keys(chosen).sort());
    if (text === current) return;
    current = text;
    const query = new URLSearchParams(chosen).toString();
    history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}`);
    changed(chosen);
  };
  current = JSON.stringify(filter, Object.keys(filter).sort());
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (event.target.tagName === "SELECT") apply();
    else timer = setTimeout(apply, SETTLE_MS);
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return; // an export is a download
    event.preventDefault();
    apply();
  });
}
