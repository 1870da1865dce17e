// Rows of live entries: classified as activity/wire/entries.py does, shown as activity/rows.py does, in the same markup.

import { paint } from "./paint.js";
import { HEADLINE_CHARS, cut, duration, epochParts, errorText, head, inCalendar, parseTimestamp, rawJson, size, skew, visible } from "./text.js";
import { fill, gettext } from "./words.js";

const STATES = ["idle", "starting", "warming", "active", "stopping", "stopped"];
// What the server, or pydantic in its place, says of a field, in the language of the page.
const MISSING = gettext("the field is missing");
const REQUIRED = gettext("Field required");
const NO_STATE = gettext("Input should be 'idle', 'starting', 'warming', 'active', 'stopping' or 'stopped'");
const NEEDED = { state_transition: ["timestamp", "fromState", "toState"], error: ["timestamp", "error"] };
const CLASS = /^[A-Za-z_][A-Za-z0-9_.]{1,60}:(?=\s)/;

const templates = new Map();

/** Kind and problem of an entry's fields. */
export function classify(fields) {
  if (fields.event === undefined) return ["malformed", `event: ${MISSING}`];
  if (!Object.hasOwn(NEEDED, fields.event)) return ["unknown", ""];
  for (const name of NEEDED[fields.event]) {
    if (fields[name] === undefined) return ["malformed", `${name}: ${REQUIRED}`];
    if (name.endsWith("State") && !STATES.includes(fields[name])) return ["malformed", `${name}: ${NO_STATE}`];
  }
  return [fields.event, ""];
}

/** The state that an entry tells, empty if it tells none. */
export function stateOf(fields) {
  const [kind] = classify(fields);
  if (kind === "state_transition") return fields.toState;
  return kind === "error" && STATES.includes(fields.state) ? fields.state : "";
}

const millisecondsOf = (id) => Number(id.split("-")[0]);

/** When Redis took the entry (its id), else when the writer says that it happened, else null. Milliseconds since 1970. */
export const takenAt = (fields) => inCalendar(millisecondsOf(fields.id)) ?? parseTimestamp(fields.timestamp);

function headline(kind, fields, problem) {
  if (kind === "unknown") return [head(fields.event, HEADLINE_CHARS), ""];
  if (kind === "malformed") return ["", head(problem, HEADLINE_CHARS)];
  if (kind !== "error") return ["", ""];
  const text = head(errorText(fields.error), HEADLINE_CHARS, "…");
  const lead = CLASS.exec(text)?.[0] ?? "";
  return [lead, text.slice(lead.length)];
}

function summaryFacts(exchange, fields) {
  const [kind, problem] = classify(fields);
  const [lead, rest] = headline(kind, fields, problem);
  const said = parseTimestamp(fields.timestamp);
  const taken = takenAt(fields);
  const [mark, explanation] = skew(said, taken);
  const epoch = visible(head(fields.epoch ?? "", HEADLINE_CHARS));
  const [epochHead, epochTail] = epochParts(epoch);
  return {
    kind,
    exchange,
    at: said ?? taken,
    taken,
    skew: mark,
    skew_title: explanation,
    lead: visible(lead),
    rest: visible(rest),
    from_state: fields.fromState,
    to_state: fields.toState,
    host: visible(head(fields.hostname ?? "", HEADLINE_CHARS)),
    epoch,
    epoch_head: epochHead,
    epoch_tail: epochTail,
  };
}

/** The feed at this entry, with its surroundings. A sequence has 64 bits. */
function permalinkOf(exchange, id) {
  const [milliseconds, sequence] = id.split("-");
  const name = encodeURIComponent(exchange);
  return `/exchanges/${name}/?before=${milliseconds}-${BigInt(sequence) + 1n}%40${name}&entry=${id}#activity`;
}

function rawFacts(exchange, fields) {
  const error = classify(fields)[0] === "error" ? fields.error : "";
  const long = error.includes("\n") || head(error, HEADLINE_CHARS) !== error;
  const [raw, hidden] = rawJson(fields);
  return {
    full: long ? visible(cut(error)[0]) : "",
    raw,
    hidden: hidden ? size(hidden) : "",
    url: `/exchanges/${encodeURIComponent(exchange)}/entries/${fields.id}/`,
    permalink: permalinkOf(exchange, fields.id),
  };
}

// The markup of a kind, in two parts: the row, and what it shows when it is opened, which most rows never are.
const template = (kind) => {
  if (!templates.has(kind)) {
    const row = document.querySelector(`template[data-row="${kind}"]`).content.firstElementChild.cloneNode(true);
    const raw = row.querySelector(".raw");
    raw?.remove();
    templates.set(kind, { row, raw });
  }
  return templates.get(kind);
};
const unopened = new WeakMap();

/** A new row for an entry `{"id": …, …fields}`. */
export function entryRow(exchange, fields) {
  const facts = summaryFacts(exchange, fields);
  const row = template(facts.kind).row.cloneNode(true);
  row.dataset.exchange = exchange;
  row.dataset.id = fields.id;
  if (facts.kind === "state_transition") {
    row.dataset.from = fields.fromState;
    row.dataset.to = fields.toState;
    row.dataset.instance = visible(head(fields.instanceId ?? "", HEADLINE_CHARS));
  }
  paint(row, facts);
  unopened.set(row.querySelector("details"), { exchange, fields, kind: facts.kind });
  return row;
}

/** Give a live row the part that it shows when it is opened. */
export function fillOpened(details) {
  const entry = unopened.get(details);
  if (!entry) return;
  unopened.delete(details);
  const raw = template(entry.kind).raw.cloneNode(true);
  paint(raw, rawFacts(entry.exchange, entry.fields));
  details.append(raw);
}

/** Say on every transition how long the state before it lasted, as rows_of() in activity/rows.py does. */
export function relate(list) {
  const newer = new Map(); // per exchange, its next newer transition
  for (const row of list.querySelectorAll(':scope > [data-kind="state_transition"], :scope > .rule')) {
    const { exchange, id, to, instance } = row.dataset;
    if (row.classList.contains("rule")) {
      newer.delete(exchange); // what happened meanwhile is not known
      continue;
    }
    const next = newer.get(exchange);
    if (next && next.dataset.from === to && next.dataset.instance === instance) {
      const after = duration((millisecondsOf(next.dataset.id) - millisecondsOf(id)) / 1000);
      const slot = next.querySelector('[data-slot="after"]');
      if (slot.textContent !== after) slot.textContent = after;
      slot.hidden = slot.parentElement.hidden = false;
    }
    newer.set(exchange, row);
  }
}

/** A row for an entry that this page fails to show: its id, at the place where it belongs. */
export function brokenRow(exchange, fields, error) {
  const row = template("gap").row.cloneNode(true);
  const words = gettext("%(exchange)s: this page cannot show the entry %(id)s: %(why)s");
  paint(row, { words: visible(fill(words, { exchange, id: fields.id, why: error.message })) });
  row.dataset.exchange = exchange;
  row.dataset.id = fields.id;
  return row;
}

/** A row that says what is missing between two entries. */
export function gapRow(exchange, after, first) {
  const row = template("gap").row.cloneNode(true);
  const words = first
    ? gettext("%(exchange)s: the entries between %(after)s and %(first)s are no longer held")
    : gettext("%(exchange)s: its history began anew; what followed %(after)s is no longer held");
  paint(row, { words: fill(words, { exchange, after, first }) });
  row.dataset.exchange = exchange;
  row.dataset.id = after; // it stands above the last entry that was seen
  return row;
}
