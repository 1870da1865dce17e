// How texts and durations of any origin are shown. The same rules as activity/text.py; a browser test compares both.

// What would hide, reorder or overwrite text on a screen (see activity/text.py for the groups).
const UNSEEN =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const SHOWN_BYTES = 64 * 1024; // of one value; what is beyond is said and linked
export const HEADLINE_CHARS = 300;
const NBSP = "\u00a0";
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
  const shown = {};
  for (const [name, value] of Object.entries(fields)) {
    const [part, missing] = cut(String(value));
    // Not by assignment: a field may be called __proto__.
    Object.defineProperty(shown, name, { value: part, enumerable: true });
    hidden += missing;
  }
  return [visible(JSON.stringify(shown, null, 2)), hidden];
}

export function size(count) {
  if (count < 1024) return `${count}${NBSP}bytes`;
  return count < 1024 * 1024 ? `${(count / 1024).toFixed(1)}${NBSP}KB` : `${(count / 1024 / 1024).toFixed(1)}${NBSP}MB`;
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

/** 30 s ago, 1 min 27 s ago, 13 min ago: seconds matter for ten minutes. */
export function ago(seconds) {
  const total = Math.max(0, Math.trunc(seconds));
  if (total >= 600 && total < 3600) return [Math.trunc(total / 60), "min", "ago"].join(NBSP);
  return `${duration(total)}${NBSP}ago`;
}

export function initials(name) {
  const words = name.split("@")[0].split(/[\s._@+-]+/).filter(Boolean);
  return visible(words.slice(0, 2).map((word) => Array.from(word)[0]).join("").toUpperCase());
}

const ISO = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;
export const LAST_MILLISECOND = 253402300799999; // the end of year 9999

/** Milliseconds since 1970 of an ISO 8601 text, null for anything else. Without a zone it is UTC, as older writers mean it. */
export function parseTimestamp(text) {
  const match = typeof text === "string" && ISO.exec(text);
  if (!match) return null;
  const at = Date.parse(match[3] ? text : `${text}Z`);
  return Number.isNaN(at) || at < -62135596800000 || at > LAST_MILLISECOND ? null : at;
}
