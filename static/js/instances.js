// Who holds, who waits. No frame tells of all that, so the page asks again, and says when it was answered last.

import { everySecond, now, refreshTimes, startClock, writeTick, writeTime } from "./clock.js";
import { fill, gettext } from "./words.js";

const EVERY_S = 5; // instances beat every 15 s
const TIMEOUT_MS = 8000;
const ASKING = fill(gettext("Asks every %(seconds)s s"), { seconds: EVERY_S });
const LAST_ANSWER = ` · ${gettext("last answer")} `;

const root = document.querySelector("[data-again]");
const word = root.querySelector("[data-again-word]");
const rest = root.querySelector("[data-again-rest]");
const parts = document.querySelector("[data-parts]");
let answeredAt = JSON.parse(document.getElementById("page").textContent).now;
let seconds = 0;
let asking = false;

/** How it stands: `why` not, or that the page asks. The moment stands beside it, since nobody is told of a change. */
function say(why) {
  root.dataset.live = why ? "off" : "wait";
  parts.classList.toggle("stale", why !== "");
  const words = why ? gettext("Not live") : ASKING;
  if (word.textContent !== words) word.textContent = words; // it is read aloud
  const [time, age] = [document.createElement("time"), document.createElement("span")];
  age.dataset.tick = "ago";
  writeTime(time, answeredAt);
  writeTick(age, answeredAt);
  rest.replaceChildren(`${why && `: ${why}`}${LAST_ANSWER}`, time, ", ", age);
}

async function ask() {
  asking = true;
  try {
    const response = await fetch(location.pathname, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => {
      throw new Error(gettext("the server does not answer")); // what browsers say of it is in their own language
    });
    if (response.redirected) throw new Error(gettext("you are signed out"));
    const found = new DOMParser().parseFromString(await response.text(), "text/html");
    const trouble = found.querySelector("main .alert p")?.textContent;
    if (!response.ok) throw new Error(trouble ?? fill(gettext("the server answered %(status)s"), { status: response.status }));
    refreshTimes(found);
    const focused = parts.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    parts.replaceChildren(...found.querySelector("[data-parts]").children);
    if (focused) [...parts.querySelectorAll("a")].find((one) => one.getAttribute("href") === focused)?.focus({ preventScroll: true });
    answeredAt = now();
    say("");
  } catch (error) {
    say(error.message.slice(0, 200));
  } finally {
    asking = false;
  }
}

startClock(answeredAt);
say(parts.querySelector(":scope > .alert p")?.textContent ?? "");
everySecond(() => {
  seconds += 1;
  if (asking || document.hidden || seconds < EVERY_S) return;
  seconds = 0;
  ask();
});
