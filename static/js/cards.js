// What status frames say, as facts of cards (the same as activity/cards.py makes), and the verdict over all of them.

import { now } from "./clock.js";
import { paint, paintGauge } from "./paint.js";
import { stateOf, timeOf } from "./rows.js";
import { HEADLINE_CHARS, head, initials, parseTimestamp, visible } from "./text.js";

const CLAUSES = ["lost", "unreadable", "late", "ended"]; // worst first
const GRACE_MS = 5000; // the server looks twice a second: a key that is not said to be gone by then is not known
const short = (text) => (text === null || text === undefined ? "" : visible(head(String(text), HEADLINE_CHARS, "…")));
const number = (value) => (value === null || value === undefined ? "" : String(value));

const BLANK = {
  cond: "never", state: "", beat_at: null, state_since: null, running_since: null, active_since: null, host: "", ip: "",
  country: "", admin: "", initials: "", symbols: "", mode: "", version: "", epoch: "", instance: "", pid: "", error: "",
  error_at: null, known_at: null, heard_at: null, lost_at: null, expires_at: null, unfenced: "", problem: "",
};

function onlineFacts(card, status, ttlMs) {
  const interval = status.heartbeatSeconds || card.defaultInterval;
  const lifetime = 3 * interval;
  const age = ttlMs === null || ttlMs === undefined ? null : Math.max(0, lifetime * 1000 - ttlMs);
  const moment = now();
  const beat = parseTimestamp(status.lastHeartbeat);
  const since = (text) => {
    const at = parseTimestamp(text);
    // The difference by the writer's clock, laid against ours.
    return at === null || beat === null || age === null ? at : moment - age - (beat - at);
  };
  const admin = status.adminDisplayName || status.adminEmail || "";
  const epoch = number(status.epoch);
  return {
    cond: "fresh",
    state: status.connectionState,
    interval,
    lifetime,
    beat_at: age === null ? null : moment - age,
    expires_at: age === null ? null : moment - age + lifetime * 1000,
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
    epoch,
    unfenced: epoch ? "" : "no epoch",
    instance: short(status.instanceId),
    pid: number(status.pid),
    error: short(status.lastError),
    error_at: parseTimestamp(status.lastErrorAt),
  };
}

function offlineFacts(before, known) {
  if (!known) return {};
  const state = stateOf(known);
  const cond = state === "stopped" ? "ended" : "lost";
  const knownAt = timeOf(known);
  const went = before.cond === "lost" ? before.lost_at : before.expires_at && Math.min(now(), before.expires_at);
  return {
    cond,
    state,
    known_at: knownAt,
    heard_at: Math.max(knownAt ?? 0, before.error_at ?? 0) || null,
    lost_at: cond === "lost" ? went ?? null : null,
    beat_at: before.beat_at,
    host: short(known.hostname),
    ip: short(known.ip),
    admin: short(known.adminEmail),
    initials: initials(known.adminEmail ?? ""),
    epoch: short(known.epoch),
    error: before.error,
    error_at: before.error_at,
  };
}

/** The facts of one exchange after a status frame. */
export function factsOf(before, frame) {
  const own = { name: before.name, url: before.url, status_key: before.status_key, display_name: before.display_name };
  const card = { ...BLANK, ...own, defaultInterval: before.defaultInterval, interval: before.defaultInterval, lifetime: 3 * before.defaultInterval };
  if (frame.online && frame.problem) return { ...card, cond: "unreadable", problem: short(frame.problem) };
  if (frame.online) return { ...card, ...onlineFacts(card, frame.status, frame.ttlMs) };
  return { ...card, ...offlineFacts(before, frame.lastKnown) };
}

export class Cards {
  /** `cards` are the facts of the first paint, `heartbeatSeconds` the interval of a writer that does not say its own. */
  constructor(cards, heartbeatSeconds) {
    this.facts = new Map(cards.map((card) => [card.name, { ...card, defaultInterval: heartbeatSeconds }]));
    this.roots = new Map();
    for (const root of document.querySelectorAll("[data-card]")) this.roots.set(root.dataset.card, root);
    this.verdict = document.querySelector("[data-verdict]");
    this.said = document.querySelector("[data-verdict-said]");
    this.clause = document.querySelector("template[data-clause]")?.content.firstElementChild;
    this.connected = true;
    this.away = ""; // why the server cannot read Redis
    this.added = new Set();
    this.drawn = new Map();
    this.verdictDrawn = "";
    this.tick();
  }

  /** A status frame. */
  update(frame) {
    const before = this.facts.get(frame.exchange);
    if (!before) {
      this.added.add(frame.exchange); // a new exchange, or a new right: its card comes with the next page
      this.tick();
      return;
    }
    this.facts.set(frame.exchange, factsOf(before, frame));
    this.tick();
  }

  /** An error of an exchange without an instance: there is no status to carry it. Painted with the next second. */
  entries(exchange, entries) {
    const facts = this.facts.get(exchange);
    const error = entries.findLast((fields) => fields.event === "error" && fields.error !== undefined);
    if (!error || !["lost", "ended"].includes(facts?.cond)) return;
    const at = timeOf(error);
    this.facts.set(exchange, { ...facts, error: short(error.error), error_at: at, heard_at: Math.max(at ?? 0, facts.heard_at ?? 0) || null });
  }

  /** Whether the page hears of changes at all. */
  connection(connected) {
    this.connected = connected;
    document.documentElement.dataset.link = connected ? "up" : "down";
    this.tick();
  }

  store(available, problem) {
    this.away = available ? "" : problem;
    this.tick();
  }

  /** Milliseconds after which a silent connection is suspect: three beats, but not less than 45 s. */
  quietLimit() {
    const beating = [...this.facts.values()].filter((card) => card.beat_at !== null && card.lost_at === null && ["fresh", "late"].includes(card.cond));
    return beating.length ? Math.max(45, Math.min(...beating.map((card) => card.lifetime))) * 1000 : Infinity;
  }

  /** What the facts mean at this moment: the age decides between fresh and late, and silence makes unknown. */
  at(card, moment) {
    if (card.cond !== "fresh" && card.cond !== "late") return this.away ? this.unknown(card, this.away) : card;
    if (card.beat_at === null) return { ...card, cond: "late" };
    const age = moment - card.beat_at;
    if (!this.connected && age > card.lifetime * 1000) return this.unknown(card, "This page is not connected, and the key that it knew of has run out since.");
    if (age > card.lifetime * 1000 + GRACE_MS) return this.unknown(card, this.away || "The key has run out, and the server has not said what became of it.");
    return { ...card, cond: Math.floor(age / 1000) > card.interval ? "late" : "fresh" };
  }

  unknown(card, problem) {
    return { ...card, cond: "unknown", problem: visible(problem) };
  }

  tick() {
    const moment = now();
    const cards = [...this.facts.values()].map((card) => this.at(card, moment));
    for (const card of cards) {
      const root = this.roots.get(card.name);
      if (!root) continue;
      const drawn = JSON.stringify(card);
      if (this.drawn.get(card.name) !== drawn) {
        this.drawn.set(card.name, drawn);
        root.dataset.cond = card.cond;
        paint(root, card);
      }
      const gauge = root.querySelector("[data-gauge]");
      if (gauge && card.beat_at !== null) paintGauge(gauge, card, Math.floor((moment - card.beat_at) / 1000));
    }
    if (this.verdict) this.judge(cards);
  }

  judge(cards) {
    const clauses = CLAUSES.flatMap((cond) => cards.filter((card) => card.cond === cond));
    const rest = restOf(cards, this.connected);
    const drawn = JSON.stringify([clauses.map((c) => [c.name, c.cond, c.expires_at, c.lost_at, c.heard_at, c.known_at]), rest, [...this.added]]);
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
      node.textContent = `${listing([...this.added].sort())} added: reload`;
      nodes.push(node);
    }
    this.verdict.replaceChildren(...nodes);
    const said = [...clauses.map((card) => `${card.name} ${card.cond === "ended" ? "stopped" : card.cond}`), ...rest].join(", ");
    if (!first && this.said.textContent !== said) this.said.textContent = said; // without durations: those tick
  }
}

const listing = (names) => (names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

function restOf(cards, connected) {
  const named = (cond) => cards.filter((card) => card.cond === cond).map((card) => card.name);
  const rest = [];
  const unknown = named("unknown");
  const waiting = named("never");
  if (unknown.length) rest.push(`${listing(unknown)} unknown`);
  if (waiting.length) rest.push(`${listing(waiting)} without an instance so far`);
  if (unknown.length < cards.length) {
    const served = cards.filter((card) => ["fresh", "late"].includes(card.cond) && card.state === "active").length;
    const noun = cards.length === 1 ? "exchange" : "exchanges";
    const verb = unknown.length ? "known to be served" : "served";
    const words = served === cards.length && served > 1 ? `All ${served} ${noun} served` : `${served} of ${cards.length} ${noun} ${verb}`;
    rest.push(connected ? words : `${words} when last heard`);
  }
  return rest;
}
