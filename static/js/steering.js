// Who answers for the instance, and what was asked of it: drawn by the server, asked for again while something is open.

import { everySecond, refreshTimes } from "./clock.js";

const OPEN_S = 1; // while a command has no end yet
const REST_S = 5;
const TIMEOUT_MS = 10000;

/** Keep the panel up to date while the page hears of changes; `isHeard` says whether it does. Gives what asks for it at once. */
export function watchSteering(isHeard) {
  const root = document.querySelector("[data-steering]");
  if (!root) return () => {};
  let seconds = 0;
  let asking = false;

  async function ask() {
    asking = true;
    try {
      const response = await fetch(root.dataset.href, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!response.ok || response.redirected) return; // the page itself says that it is signed out or away
      const found = new DOMParser().parseFromString(await response.text(), "text/html").body;
      refreshTimes(found);
      const focused = root.contains(document.activeElement) ? document.activeElement.textContent : null;
      root.replaceChildren(...found.children);
      if (focused !== null) [...root.querySelectorAll("a, button")].find((one) => one.textContent === focused)?.focus();
    } catch {
      // Asked again in a moment.
    } finally {
      asking = false;
    }
  }

  everySecond(() => {
    seconds += 1;
    const every = root.querySelector('[data-open="1"]') ? OPEN_S : REST_S;
    if (!asking && isHeard() && !document.hidden && seconds >= every) {
      seconds = 0;
      ask();
    }
  });
  return () => {
    seconds = 0;
    if (!asking) ask(); // else what is on its way may be older: the next second asks again
    else seconds = REST_S;
  };
}
