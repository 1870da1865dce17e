// How texts and durations of any origin are shown. The same rules as activity/text.py; a browser test compares both.

import { decimalMark, fill, gettext } from "./words.js";

// What would hide, reorder or overwrite text on a screen (see activity/text.py for the groups).
const UNSEEN =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const SHOWN_BYTES = 64 * 1024; // of one value; what is beyond is said and linked
export const HEADLINE_CHARS = 300;
const NBSP = "\u00a0";
const unbroken = (text) => text.replaceAll(" ", NBSP);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const escapeUnit = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

export const visible = (text) => String(text).replace(UNSEEN, (char) => char.split("").map(escapeUnit).join(""));

/** The first `limit` characters as people count them, so that no pair of surrogates is torn apart. */
export function head(text, limit, mark = "") {
  if (text.length <= limit) return text;
  const chars = Array.from(text.slice(0, 2 * limit + 2));
  return chars.length <= limit ? text : chars.slice(0, limit).join("") + mark;
}

/** The first 64 KB of a value, and how many bytes are not shown. */
export function cut(text) {
  if (text.length * 4 <= SHOWN_BYTES) return [text, 0];
  const bytes = encoder.encode(text);
  if (bytes.length <= SHOWN_BYTES) return [text, 0];
  let end = SHOWN_BYTES;
  while ((bytes[end] & 0xc0) === 0x80) end -= 1;
  return [decoder.decode(bytes.subarray(0, end)), bytes.length - end];
}

/** The entry as indented JSON with every value cut, and how many bytes are not shown. */
export function rawJson(fields) {
  let hidden = 0;
  const lines = [];
  for (const [name, value] of Object.entries(fields)) {
    const [part, missing] = cut(String(value));
    lines.push(`  ${JSON.stringify(nameOf(name))}: ${JSON.stringify(part)}`);
    hidden += missing;
  }
  return [visible(`{\n${lines.join(",\n")}\n}`), hidden];
}

const BYTES = unbroken(gettext("%(count)s bytes"));

/** Bytes as people say them: 812 bytes, 5.9 KB, 1.2 MB. */
export function size(count) {
  if (count < 1024) return fill(BYTES, { count });
  const shown = count < 1024 * 1024 ? `${(count / 1024).toFixed(1)}${NBSP}KB` : `${(count / 1024 / 1024).toFixed(1)}${NBSP}MB`;
  return shown.replace(".", decimalMark);
}

const two = (number) => String(number).padStart(2, "0");

/** 40 s, 12 min 17 s, 2 h 51 min, 3 d 04 h: two units at most. */
export function duration(seconds) {
  const total = Math.max(0, Math.trunc(seconds));
  let parts;
  if (total < 60) parts = [total, "s"];
  else if (total < 3600) parts = [Math.trunc(total / 60), "min", two(total % 60), "s"];
  else if (total < 86400) parts = [Math.trunc(total / 3600), "h", two(Math.trunc((total % 3600) / 60)), "min"];
  else parts = [Math.trunc(total / 86400), "d", two(Math.trunc((total % 86400) / 3600)), "h"];
  return parts.join(NBSP);
}

// Taken apart once: hundreds of ages tick every second.
const [BEFORE_AGE, BEHIND_AGE] = unbroken(gettext("%(time)s ago")).split("%(time)s");

/** 30 s ago, 1 min 27 s ago, 13 min ago: seconds matter for ten minutes. */
export function ago(seconds) {
  const total = Math.max(0, Math.trunc(seconds));
  const time = total >= 600 && total < 3600 ? `${Math.trunc(total / 60)}${NBSP}min` : duration(total);
  return BEFORE_AGE + time + BEHIND_AGE;
}

const MONTHS = gettext("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split(" ");
const DAY = unbroken(gettext("%(day)s %(month)s"));

/** A day as 21 Nov; `month` counts from 0. */
export const day = (date, month) => fill(DAY, { day: date, month: MONTHS[month] });

/** Letters only; empty for a name without any. */
export function initials(name) {
  const letters = String(name).split("@")[0].split(/[\s._@+-]+/).map((word) => /\p{L}/u.exec(word)?.[0]).filter(Boolean);
  return letters.slice(0, 2).join("").toUpperCase();
}

const EMPTY_ERROR = gettext("(empty error text)");
export const errorText = (error) => (/^[ \t\n]*$/.test(error) ? EMPTY_ERROR : error);

/** An epoch as what may be left out where it is narrow, and the last six digits. */
export const epochParts = (epoch) => /^([0-9]+)([0-9]{6})$/.exec(epoch)?.slice(1) ?? ["", epoch];

const SKEW_MS = 60_000;
const AHEAD = gettext("clock %(apart)s ahead");
const AHEAD_BECAUSE = gettext("This instance's clock differs by %(apart)s: it is ahead of Redis' clock.");
const BEHIND = gettext("clock %(apart)s behind");
const BEHIND_BECAUSE = gettext("This instance's clock differs by %(apart)s, or the entry waited that long.");

/** How far a writer's time is from the one at which Redis took its entry: the mark, and its explanation. */
export function skew(said, taken) {
  if (said === null || taken === null || Math.abs(said - taken) <= SKEW_MS) return ["", ""];
  const facts = { apart: duration(Math.abs(said - taken) / 1000) };
  return (said > taken ? [AHEAD, AHEAD_BECAUSE] : [BEHIND, BEHIND_BECAUSE]).map((words) => fill(words, facts));
}

// An object of JavaScript has the names that look like numbers first, whatever their order in the text. A marked name
// does not look like one. Names that begin with the mark by themselves get one more, so that taking one off is exact.
const NUMERIC = /"(?:\\u0000)*\d+"\s*:/;
const STRING = /"((?:[^"\\]|\\.)*)"(\s*:)?/g;
const MARKED = /^\u0000+\d+$/;

/** JSON.parse, except that `nameOf` has to be asked for the names of what it returns. */
export function parseInOrder(text) {
  if (!NUMERIC.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(STRING, (all, inside, colon) => (colon && /^(?:\\u0000)*\d+$/.test(inside) ? `"\\u0000${inside}"${colon}` : all)));
}

const nameOf = (name) => (MARKED.test(name) ? name.slice(1) : name);

const ISO = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;
const FIRST_MILLISECOND = -62135596800000; // the beginning of year 1
const LAST_MILLISECOND = 253402300799999; // the end of year 9999

/** The moment, null where no calendar has it: sums of foreign numbers may be anything. */
export const inCalendar = (at) => (typeof at === "number" && at >= FIRST_MILLISECOND && at <= LAST_MILLISECOND ? at : null);

/** Milliseconds since 1970 of an ISO 8601 text, null for anything else. Without a zone it is UTC, as older writers mean it. */
export function parseTimestamp(text) {
  const match = typeof text === "string" && ISO.exec(text);
  if (!match) return null;
  const at = Date.parse(match[3] ? text : `${text}Z`);
  return inCalendar(at);
}
