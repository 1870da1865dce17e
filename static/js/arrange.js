// Live cards keep the order and the groups that the page was asked for (activity/arrangement.py does the same).

import { gettext } from "./words.js";

const NEED = ["lost", "unreadable", "foreign", "unknown", "late", "stuck", "resting", "ended", "never", "fresh"];

/** The card's place in the order of need, 0 first. */
export function needOf(card) {
  if (card.cond === "fresh" && card.state !== "active") return NEED.indexOf(card.stuck ? "stuck" : "resting");
  return NEED.indexOf(card.cond);
}

const KEYS = { none: () => "", host: (card) => card.host || gettext("no host"), admin: (card) => card.admin || gettext("nobody responsible") };
const byText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export class Arrangement {
  constructor(chosen, roots) {
    this.chosen = chosen;
    this.roots = roots;
    this.board = document.querySelector("[data-cards]");
    this.drawn = "";
  }

  /** Move what stands in the wrong place; never what somebody points at or has focused. */
  apply(cards) {
    if (!this.board || (this.chosen.sort === "name" && this.chosen.group === "none")) return;
    const need = (card) => (this.chosen.sort === "need" ? needOf(card) : 0);
    const groups = new Map();
    for (const card of [...cards].sort((a, b) => need(a) - need(b) || byText(a.name, b.name))) {
      const key = KEYS[this.chosen.group](card);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(card.name);
    }
    const wanted = this.chosen.sort === "need" ? [...groups] : [...groups].sort((a, b) => byText(a[0], b[0]));
    const drawn = JSON.stringify(wanted);
    if (drawn === this.drawn) return;
    if (this.drawn && this.board.querySelector(".cards:hover, .cards :focus")) return; // with the next second, perhaps
    const present = new Map([...this.board.querySelectorAll("[data-group]")].map((section) => [section.dataset.group, section]));
    const [like] = present.values(); // before they are taken: a new group may come behind all of them
    for (const [key, names] of wanted) {
      const section = present.get(key) ?? this.section(like, key);
      present.delete(key);
      this.board.append(section);
      section.querySelector(".cards").append(...names.map((name) => this.roots.get(name)).filter(Boolean));
    }
    for (const left of present.values()) left.remove();
    this.drawn = drawn;
  }

  section(like, key) {
    const section = like.cloneNode(false);
    section.dataset.group = key;
    section.setAttribute("aria-label", key);
    const heading = document.createElement("h2");
    heading.className = "group-name";
    heading.textContent = key;
    const cards = document.createElement("div");
    cards.className = "cards";
    section.append(heading, cards);
    return section;
  }
}
