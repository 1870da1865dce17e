// What the scripts say, in the language of the page. Django's catalogue stands before them (activity/language.py); where
// it did not come, the words are English.

const catalogue = globalThis.django ?? {};

export const gettext = (text) => catalogue.gettext?.(text) ?? text;
export const ngettext = (one, many, count) => catalogue.ngettext?.(one, many, count) ?? (count === 1 ? one : many);

/** What stands between the whole of a number and its fraction. */
export const decimalMark = catalogue.get_format?.("DECIMAL_SEPARATOR") ?? ".";

/** A number with its thousands apart. */
export const grouped = (number) => number.toLocaleString(document.documentElement.lang || "en");

/** The text with its %(names)s filled in. */
export const fill = (text, facts) => text.replace(/%\((\w+)\)s/g, (all, name) => (name in facts ? String(facts[name]) : all));
