// What status frames say, as facts of cards (the same as activity/cards.py makes), and the verdict over all of them.

import { Arrangement } from "./arrange.js";
import { attempt, now } from "./clock.js";
import { paint, paintGauge } from "./paint.js";
import { stateOf, takenAt } from "./rows.js";
import { HEADLINE_CHARS, epochParts, errorText, head, inCalendar, initials, parseTimestamp, visible } from "./text.js";
import { fill, gettext, ngettext } from "./words.js";

const CLAUSES = ["lost", "unreadable", "foreign", "late"]; // worst first; behind these, who runs and does not serve
const NOTED = ["lost", "unreadable", "foreign", "late", "unknown"]; // what has a note of its own
const ALIVE = ["fresh", "late", "unreadable", "foreign"]; // the key is there
const LONGEST_INTERVAL = 3600; // seconds; an interval that nobody can mean counts as not told (activity/wire/status.py)
const STUCK_AFTER = { starting: 300, warming: 600, stopping: 120 }; // seconds in a state that is one to pass through
// What the title of the page says of one that needs a look, and of several.
const BRIEF = {
  lost: [gettext("%(name)s lost"), gettext("%(count)s lost")],
  unreadable: [gettext("%(name)s unreadable"), gettext("%(count)s unreadable")],
  foreign: [gettext("%(name)s foreign"), gettext("%(count)s foreign")],
  late: [gettext("%(name)s late"), gettext("%(count)s late")],
  stuck: [gettext("%(name)s stuck"), gettext("%(count)s stuck")],
};
const UNCONNECTED = gettext("This page is not connected, and the key that it knew of has run out since.");
const RUN_OUT = gettext("The key has run out, and the server has not said what became of it.");
const GRACE_MS = 5000; // the server looks twice a second: a key that is not said to be gone by then is not known
const isLate = (ageMs, interval) => Math.floor(ageMs / 1000) > interval + Math.min(3, Math.floor(interval / 5)); // activity/wire/status.py
const short = (text) => (text === null || text === undefined ? "" : visible(head(String(text), HEADLINE_CHARS, "…")));
const number = (value) => (value === null || value === undefined ? "" : String(value));

const BLANK = {
  cond: "never", state: "", beat_at: null, state_since: null, running_since: null, active_since: null, host: "", ip: "",
  country: "", admin: "", initials: "", symbols: "", mode: "", version: "", epoch: "", epoch_head: "", epoch_tail: "",
  instance: "", pid: "", error: "", error_at: null, known_at: null, heard_at: null, lost_at: null, looked_at: null,
  expires_at: null, unfenced: "", problem: "", stuck: "",
};

const epochFacts = (epoch) => {
  const [head, tail] = epochParts(epoch);
  return { epoch, epoch_head: head, epoch_tail: tail };
};

/** The facts of a card as the server tells them: what is not known is not in there, nor what follows from the rest. */
function told(card, defaultInterval) {
  const facts = { ...BLANK, ...card, ...epochFacts(card.epoch ?? ""), defaultInterval, lifetime: 3 * card.interval };
  if (facts.beat_at !== null) facts.expires_at = facts.beat_at + facts.lifetime * 1000;
  if (["fresh", "late"].includes(facts.cond) && !facts.epoch) facts.unfenced = "no epoch";
  return facts;
}

function onlineFacts(card, status, ttlMs) {
  const told = status.heartbeatSeconds;
  const interval = Number.isInteger(told) && told >= 1 && told <= LONGEST_INTERVAL ? told : card.defaultInterval;
  const lifetime = 3 * interval;
  const age = ttlMs === null || ttlMs === undefined ? null : Math.max(0, lifetime * 1000 - ttlMs);
  const moment = now();
  const beat = parseTimestamp(status.lastHeartbeat);
  const since = (text) => {
    const at = parseTimestamp(text);
    // The difference by the writer's clock, laid against ours; of two absurd times it may be beyond any calendar.
    return at === null || beat === null || age === null ? at : inCalendar(moment - age - (beat - at));
  };
  const admin = status.adminDisplayName || status.adminEmail || "";
  const epoch = number(status.epoch);
  return {
    cond: "fresh",
    state: status.connectionState,
    interval,
    lifetime,
    beat_at: age === null ? null : inCalendar(moment - age),
    expires_at: age === null ? null : inCalendar(moment - age + lifetime * 1000),
    state_since: since(status.lastStateChange),
    running_since: since(status.registeredAt),
    active_since: since(status.connectedAt),
    host: short(status.hostname),
    ip: short(status.ipAddress),
    country: short(status.countryCode),
    admin: short(admin),
    initials: initials(admin),
    symbols: number(status.symbolCount ?? 0),
    mode: short(status.mode),
    version: short(status.version),
    ...epochFacts(epoch),
    unfenced: epoch ? "" : "no epoch",
    instance: short(status.instanceId),
    pid: number(status.pid),
    error: short(status.lastError),
    error_at: parseTimestamp(status.lastErrorAt),
  };
}

/** What it means that there is no key. The server says it (activity/store/gone.py) unless it knows nothing of it. */
function gone(before, { lost, lastKnown }) {
  if (lost === false) return "ended";
  return lost || lastKnown || ALIVE.includes(before.cond) || before.cond === "lost" ? "lost" : "never"; // this page has seen it alive
}

/** When its instance was last heard by an entry: a death notice is the recorder's, and says when that was. */
const heardAt = (fields) => (fields.event === "error" && fields.kind === "lost" ? parseTimestamp(fields.lastHeartbeat) : takenAt(fields));

function offlineFacts(before, frame) {
  const known = frame.lastKnown;
  const cond = gone(before, frame);
  if (cond === "never") return {};
  const seen = ALIVE.includes(before.cond);
  const went = seen ? Math.min(now(), before.expires_at ?? now()) : before.lost_at;
  const knownAt = known ? heardAt(known) : null;
  const heardBefore = seen ? 0 : before.heard_at ?? 0;
  const identity = known
    ? { state: stateOf(known), host: short(known.hostname), ip: short(known.ip), admin: short(known.adminEmail), initials: initials(known.adminEmail ?? ""), ...epochFacts(short(known.epoch)) }
    : { state: before.state, host: before.host, ip: before.ip, admin: before.admin, initials: before.initials, ...epochFacts(before.epoch) };
  return {
    ...identity,
    cond,
    known_at: knownAt,
    heard_at: Math.max(knownAt ?? 0, heardBefore) || null,
    lost_at: cond === "lost" ? went ?? null : null,
    beat_at: before.beat_at,
    error: before.error,
    error_at: before.error_at,
  };
}

/** What activity/wire/status.py says of what it cannot read. Its other words are pydantic's, and name a field. */
function unreadable(problem) {
  const type = /^a JSON (\w+) instead of an object$/.exec(problem)?.[1];
  if (type) return fill(gettext("a JSON %(type)s instead of an object"), { type });
  const why = /^not JSON: ([^]*)$/.exec(problem)?.[1];
  return why === undefined ? problem : fill(gettext("not JSON: %(why)s"), { why });
}

const HOLDS = gettext("This key holds the status of %(name)s (%(number)s).");
const isForeign = (card, status) => Number(status.exchangeId) !== card.exchange_id || String(status.exchangeName).toLowerCase() !== card.name;

/** The facts of one exchange after a status frame. */
export function factsOf(before, frame) {
  const own = { name: before.name, url: before.url, exchange_id: before.exchange_id, display_name: before.display_name, may_claim: before.may_claim, may_command: before.may_command };
  const card = { ...BLANK, ...own, defaultInterval: before.defaultInterval, interval: before.defaultInterval, lifetime: 3 * before.defaultInterval };
  if (frame.online && frame.problem) return { ...card, cond: "unreadable", problem: short(unreadable(frame.problem)) };
  if (frame.online && isForeign(card, frame.status)) {
    return { ...card, cond: "foreign", problem: fill(HOLDS, { name: short(frame.status.exchangeName), number: frame.status.exchangeId }) };
  }
  if (frame.online) return { ...card, ...onlineFacts(card, frame.status, frame.ttlMs) };
  return { ...card, ...offlineFacts(before, frame) };
}

/** What this user may do about it here: claim it while nobody answers for it, stop it where it is stuck. */
function withActs(card) {
  const told = ["fresh", "late"].includes(card.cond) && card.instance; // an older writer knows neither
  return {
    ...card,
    claim_url: told && card.may_claim && !card.admin ? `${card.url}command/claim/` : "",
    stop_url: told && card.may_command && card.stuck ? `${card.url}command/stop/` : "",
  };
}

export class Cards {
  /** `cards` are the facts of the first paint, `heartbeatSeconds` the interval of a writer that does not say its own. */
  constructor(cards, heartbeatSeconds, arranged) {
    this.facts = new Map(cards.map((card) => [card.name, told(card, heartbeatSeconds)]));
    this.roots = new Map();
    for (const root of document.querySelectorAll("[data-card]")) this.roots.set(root.dataset.card, root);
    this.board = document.querySelector("[data-versions]");
    this.arrangement = arranged && new Arrangement(arranged, this.roots);
    this.icon = document.querySelector("[data-favicon]");
    this.title = document.title.split(" · ").slice(-2).join(" · ");
    this.verdict = document.querySelector("[data-verdict]");
    this.said = document.querySelector("[data-verdict-said]");
    this.clause = document.querySelector("template[data-clause]")?.content.firstElementChild;
    this.notes = document.querySelector("template[data-notes]");
    this.connected = true;
    this.away = ""; // why the server cannot read Redis
    this.looked = !cards.some((card) => card.cond === "unknown"); // whether it could since this connection was made
    this.lookedAt = this.looked ? now() : null; // when it last could
    this.added = new Set();
    this.drawn = new Map();
    this.verdictDrawn = "";
    this.tick();
  }

  /** A status frame. */
  update(frame) {
    this.lookedAt = now();
    this.looked = true;
    const before = this.facts.get(frame.exchange);
    if (!before) {
      this.added.add(frame.exchange); // a new exchange, or a new right: its card comes with the next page
      this.tick();
      return;
    }
    try {
      this.facts.set(frame.exchange, factsOf(before, frame));
    } catch (error) {
      console.error(error);
      const problem = visible(fill(gettext("This page cannot show it: %(why)s"), { why: error.message }));
      this.facts.set(frame.exchange, { ...before, ...BLANK, cond: frame.online ? "unreadable" : "unknown", problem });
    }
    this.tick();
  }

  /** An error of an exchange without an instance: there is no status to carry it. Painted with the next second. */
  entries(exchange, entries) {
    const facts = this.facts.get(exchange);
    const error = entries.findLast((fields) => fields.event === "error" && fields.error !== undefined);
    if (!error || !["lost", "ended"].includes(facts?.cond)) return;
    const at = takenAt(error);
    this.facts.set(exchange, { ...facts, error: short(errorText(error.error)), error_at: at, heard_at: Math.max(heardAt(error) ?? 0, facts.heard_at ?? 0) || null });
  }

  /** All cards as the server made them just now. */
  replace(cards) {
    this.lookedAt = now();
    this.looked = true;
    this.away = "";
    const names = new Set(cards.map((card) => card.name));
    for (const card of cards) {
      const before = this.facts.get(card.name);
      if (before) this.facts.set(card.name, told(card, before.defaultInterval));
      else this.added.add(card.name);
    }
    for (const name of this.facts.keys()) {
      if (!names.has(name)) location.reload(); // one is gone, or the right to view it: the next page has what there is
    }
    this.tick();
  }

  /** The notes come with the card where there is something to note, else when there first is. */
  note(root, card) {
    const place = root.querySelector("[data-noted]:empty");
    if (place && this.notes && (NOTED.includes(card.cond) || card.error || card.stuck || card.unfenced || card.claim_url)) {
      place.append(this.notes.content.cloneNode(true));
    }
  }

  /** Whether the page hears of changes at all. */
  connection(connected) {
    if (connected && !this.connected) this.looked = false;
    this.connected = connected;
    document.documentElement.dataset.link = connected ? "up" : "down";
    this.tick();
  }

  /** Whether the server can read Redis. It looks twice a second, so until it says that it cannot, it could. */
  store(available, problem) {
    if (available || (this.looked && !this.away)) this.lookedAt = now();
    this.looked = available;
    this.away = available ? "" : problem || gettext("Redis cannot be read.");
    this.tick();
  }

  /** What the facts mean at this moment: the age decides between fresh and late, and silence makes unknown. */
  at(card, moment) {
    if (this.away) return this.unknown(card, this.away);
    if (card.cond !== "fresh" && card.cond !== "late") return card;
    if (card.beat_at === null) return { ...card, cond: "late", stuck: stuck(card, moment) };
    const age = moment - card.beat_at;
    if (!this.connected && age > card.lifetime * 1000) return this.unknown(card, UNCONNECTED);
    if (age > card.lifetime * 1000 + GRACE_MS) return this.unknown(card, RUN_OUT);
    return { ...card, cond: isLate(age, card.interval) ? "late" : "fresh", stuck: stuck(card, moment) };
  }

  unknown(card, problem) {
    return { ...card, cond: "unknown", stuck: "", problem: visible(problem), looked_at: this.lookedAt };
  }

  tick() {
    const moment = now();
    const cards = [...this.facts.values()].map((card) => withActs(this.at(card, moment)));
    for (const card of cards) attempt(() => this.draw(card, moment));
    if (this.arrangement) attempt(() => this.arrangement.apply(cards));
    if (this.board) attempt(() => this.compare(cards));
    attempt(() => this.mark(cards));
    if (this.verdict) attempt(() => this.judge(cards));
    attempt(() => this.onLook?.(cards));
  }

  /** Versions stand on the cards' faces where the instances that are there do not run the same one. */
  compare(cards) {
    const versions = new Set(cards.filter((card) => ["fresh", "late"].includes(card.cond)).map((card) => card.version).filter(Boolean));
    const differ = versions.size > 1 ? "differ" : "";
    if (this.board.dataset.versions !== differ) this.board.dataset.versions = differ;
  }

  /** The icon and the title of the page say the worst of it. */
  mark(cards) {
    const [level, brief] = worstOf(cards, this.connected);
    const href = this.icon.getAttribute("href").replace(/favicon[a-z-]*\.svg/, level === "well" ? "favicon.svg" : `favicon-${level}.svg`);
    if (this.icon.getAttribute("href") !== href) this.icon.setAttribute("href", href);
    const title = brief ? `${brief} · ${this.title}` : this.title;
    if (document.title !== title) document.title = title;
  }

  draw(card, moment) {
    const root = this.roots.get(card.name);
    if (!root) return;
    const drawn = JSON.stringify(card);
    if (this.drawn.get(card.name) !== drawn) {
      this.drawn.set(card.name, drawn);
      root.dataset.cond = card.cond;
      this.note(root, card);
      paint(root, card);
    }
    const gauge = root.querySelector("[data-gauge]");
    if (gauge && card.beat_at !== null) paintGauge(gauge, card, Math.floor((moment - card.beat_at) / 1000));
  }

  judge(cards) {
    const having = (cond) => cards.filter((card) => card.cond === cond);
    const resting = having("fresh").filter((card) => card.state !== "active").sort((a, b) => !a.stuck - !b.stuck);
    const clauses = [...CLAUSES.flatMap(having), ...resting, ...having("ended")];
    const rest = restOf(cards, this.connected);
    const drawn = JSON.stringify([clauses.map((c) => [c.name, c.cond, c.state, c.stuck, c.state_since, c.expires_at, c.lost_at, c.heard_at, c.known_at]), rest, [...this.added]]);
    if (drawn === this.verdictDrawn) return;
    const first = this.verdictDrawn === "";
    this.verdictDrawn = drawn;
    const nodes = clauses.map((card) => {
      const node = this.clause.cloneNode(true);
      node.dataset.cond = card.cond;
      node.href = `#x-${card.name}`;
      paint(node, card);
      return node;
    });
    for (const words of rest) {
      const node = document.createElement("span");
      node.className = "calm";
      node.textContent = words;
      nodes.push(node);
    }
    if (this.added.size) {
      const node = document.createElement("a");
      node.href = location.pathname;
      node.textContent = fill(gettext("%(names)s added: reload"), { names: listing([...this.added].sort()) });
      nodes.push(node);
    }
    this.verdict.replaceChildren(...nodes);
    const said = [...clauses.map((card) => `${card.name} ${card.cond === "fresh" ? card.state : SAID[card.cond]}`), ...rest].join(", ");
    if (!first && this.said.textContent !== said) this.said.textContent = said; // without durations: those tick
  }
}

const LONGER = gettext("longer than %(minutes)s min");

/** That it is in a state to pass through for too long, in words. */
function stuck(card, moment) {
  const limit = STUCK_AFTER[card.state];
  return limit && card.state_since !== null && moment - card.state_since >= limit * 1000 ? fill(LONGER, { minutes: limit / 60 }) : "";
}

/** The worst of all cards: the level of the icon, and two words for the title. */
function worstOf(cards, connected) {
  const worst = [...CLAUSES.flatMap((cond) => cards.filter((card) => card.cond === cond)), ...cards.filter((card) => card.cond === "fresh" && card.stuck)];
  if (!worst.length) return !connected || cards.some((card) => card.cond === "unknown") ? ["unknown", gettext("unknown")] : ["well", ""];
  const kinds = worst.map((card) => (card.cond in BRIEF ? card.cond : "stuck"));
  const count = kinds.filter((kind) => kind === kinds[0]).length;
  const [one, many] = BRIEF[kinds[0]];
  const brief = count === 1 ? fill(one, { name: worst[0].name }) : fill(many, { count });
  return [kinds[0] === "lost" ? "lost" : "late", brief];
}

// What is said aloud of those that the verdict names.
const SAID = {
  lost: gettext("lost"),
  unreadable: gettext("status unreadable"),
  foreign: gettext("holds the status of another exchange"),
  late: gettext("late"),
  ended: gettext("ended"),
};
const listing = (names) => (names.length === 1 ? names[0] : fill(gettext("%(names)s and %(last)s"), { names: names.slice(0, -1).join(", "), last: names.at(-1) }));

function servedOf(served, total, certain) {
  const facts = { served, total };
  if (served === total && total > 1) return fill(gettext("All %(total)s exchanges served"), facts);
  const words = certain
    ? ngettext("%(served)s of %(total)s exchange served", "%(served)s of %(total)s exchanges served", total)
    : ngettext("%(served)s of %(total)s exchange known to be served", "%(served)s of %(total)s exchanges known to be served", total);
  return fill(words, facts);
}

function restOf(cards, connected) {
  const named = (cond) => cards.filter((card) => card.cond === cond).map((card) => card.name);
  const rest = [];
  const unknown = named("unknown");
  const waiting = named("never");
  if (unknown.length) rest.push(fill(gettext("%(names)s unknown"), { names: listing(unknown) }));
  if (waiting.length) rest.push(fill(gettext("%(names)s without an instance so far"), { names: listing(waiting) }));
  if (unknown.length < cards.length) {
    const served = cards.filter((card) => ["fresh", "late"].includes(card.cond) && card.state === "active").length;
    const words = servedOf(served, cards.length, !unknown.length);
    rest.push(connected ? words : fill(gettext("%(words)s when last heard"), { words }));
  }
  return rest;
}
