// The live indicator: green only while a socket is open, always with the time of the last event.

import { now, writeTick, writeTime } from "./clock.js";
import { duration } from "./text.js";
import { fill, gettext } from "./words.js";

const root = document.querySelector(".live");
const word = root?.querySelector("[data-live-word]");
const rest = root?.querySelector("[data-live-rest]");
const said = document.querySelector("[data-live-said]");

const LAST_EVENT = ` · ${gettext("last event")} `;

let lastEvent = now();
let drawnEvent = lastEvent;
let state = { at: "connecting" };
let storeAvailable = true;

function timeNode(at) {
  const time = document.createElement("time");
  writeTime(time, at);
  return time;
}

function ageNode(at) {
  const age = document.createElement("span");
  age.dataset.tick = "ago";
  writeTick(age, at);
  return age;
}

function actionNode(final) {
  const link = document.createElement("a");
  link.textContent = final.action;
  const next = encodeURIComponent(location.pathname + location.search);
  link.href = final.code === 4401 ? `/sign-in/?next=${next}` : location.href;
  return link;
}

function draw() {
  if (!root) return;
  drawnEvent = lastEvent;
  const show = (live, words, ...nodes) => {
    root.dataset.live = live;
    word.textContent = words;
    rest.replaceChildren(...nodes);
    rest.classList.toggle("opt", live === "on"); // what to do about it is never left out
    if (said.textContent !== words) said.textContent = words;
  };
  if (state.at === "open" && !storeAvailable) {
    show("wait", gettext("Redis cannot be reached"), LAST_EVENT, timeNode(lastEvent));
  } else if (state.at === "open") {
    show("on", gettext("Live"), LAST_EVENT, timeNode(lastEvent), ", ", ageNode(lastEvent));
  } else if (state.at === "polling") {
    const words = gettext("something on the way blocks the live connection: this page asks every %(seconds)s s · last answer");
    show("wait", gettext("Not live"), `, ${fill(words, { seconds: state.every })} `, timeNode(lastEvent));
  } else if (state.at === "connecting") {
    show("wait", gettext("Connecting"), LAST_EVENT, timeNode(lastEvent));
  } else if (state.at === "waiting") {
    const left = Math.max(1, Math.ceil((state.until - performance.now()) / 1000));
    show("wait", gettext("Reconnecting"), ` ${fill(gettext("in %(time)s"), { time: duration(left) })}${LAST_EVENT}`, timeNode(lastEvent));
  } else {
    const { final } = state;
    show("off", final.word, final.rest ? `, ${final.rest} · ` : " · ", actionNode(final));
  }
}

/** A frame arrived. */
export function eventHappened() {
  lastEvent = now();
}

/** The server can or cannot read Redis: connected to it, the page is still not live. */
export function showStore(available) {
  storeAvailable = available;
  draw();
}

/** The connection stands differently. */
export function showState(changed) {
  state = changed;
  draw();
}

/** Every second: the last event, or the countdown to the next attempt. */
export function redraw() {
  if (state.at === "waiting" || (state.at === "open" && drawnEvent !== lastEvent)) draw();
}
