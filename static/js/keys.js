// Keys for those who keep their hands on them. None works while a text is typed, or together with another key.
// Who dictates, or whose fingers stray, turns them off (WCAG 2.1.4): the dialog is in the user's menu as well.

const dialog = document.querySelector("[data-keys]");
const typing = (element) => element?.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

/** What j and k walk along: the entries, once the focus is among them, else the cards. */
function items() {
  const feed = document.activeElement?.closest("[data-feed]");
  const found = document.querySelectorAll(feed ? "[data-feed] .entry summary" : ".card h2 a");
  return found.length ? [...found] : [...document.querySelectorAll("[data-feed] .entry summary")];
}

function step(by) {
  const all = items();
  if (!all.length) return;
  const at = all.findIndex((item) => item === document.activeElement || item.closest(".card, .entry")?.contains(document.activeElement));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))];
  next.focus();
  next.closest(".card, .entry")?.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "/": () => (document.querySelector("[data-search]") ?? document.querySelector("input[type=search]"))?.focus(),
  "?": () => (dialog.open ? dialog.close() : dialog.showModal()),
  a: () => document.querySelector("[data-feed] .entry summary, [data-feed] a")?.focus(),
  j: () => step(1),
  k: () => step(-1),
  n: () => document.querySelector(".brand").click(),
  t: () => document.querySelector("[data-theme-toggle]")?.click(),
};

const PLACE = "perseus-keys";
const wanted = dialog.querySelector("[data-keys-on]");
try {
  wanted.checked = localStorage.getItem(PLACE) !== "off";
} catch {
  // Storage is forbidden in this browser: on every page they begin turned on.
}
wanted.addEventListener("change", () => {
  try {
    localStorage.setItem(PLACE, wanted.checked ? "on" : "off");
  } catch {
    // It holds for this page then.
  }
});
document.querySelector("[data-keys-open]")?.addEventListener("click", () => dialog.showModal());

document.addEventListener("keydown", (event) => {
  if (!wanted.checked) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
  if (dialog.open && event.key !== "?") return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
