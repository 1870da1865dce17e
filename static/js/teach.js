// The page of an exchange without an instance: whether it is listening.

import { now, writeTime } from "./clock.js";
import { gettext } from "./words.js";

/** Mark the first step done while the page is connected. */
export function showConnected(state) {
  const step = document.querySelector("[data-connected]");
  if (!step) return;
  const connected = state.at === "open";
  step.classList.toggle("next", !connected);
  step.querySelector("[data-connected-word]").textContent = connected ? gettext("This page is connected") : gettext("This page is not connected");
  step.querySelector("[data-connected-rest]").textContent = connected ? gettext("it updates without a reload") : gettext("it tries again by itself");
  const time = step.querySelector("time");
  if (connected) writeTime(time, now());
  else writeTime(time, null);
}
