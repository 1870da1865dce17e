// The standbys of an exchange. No frame tells of them, so they are asked for again every few seconds.

import { everySecond, refreshTimes } from "./clock.js";
import { fill, gettext } from "./words.js";

const EVERY_S = 5; // a standby beats every 15 s

/** Keep the panel up to date while the page hears of changes; `isHeard` says whether it does. */
export function watchStandbys(isHeard) {
  const root = document.querySelector("[data-standbys]");
  if (!root) return;
  const url = new URL(location.href);
  url.search = "?standbys=1";
  url.hash = "";
  let seconds = 0;
  let asking = false;

  const unknown = (why) => {
    for (const element of root.querySelectorAll("[data-asked]")) element.hidden = true;
    for (const element of root.querySelectorAll("[data-unasked]")) {
      element.hidden = false;
      element.querySelector("span").lastChild.textContent = ` ${why}`;
    }
  };

  async function ask() {
    asking = true;
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(10000) });
      if (response.redirected) throw new Error(gettext("You are signed out."));
      if (!response.ok) throw new Error(fill(gettext("The server answered %(status)s."), { status: response.status }));
      const found = new DOMParser().parseFromString(await response.text(), "text/html").body;
      if (!isHeard()) return;
      refreshTimes(found);
      root.replaceChildren(...found.children);
      root.hidden = root.children.length === 0;
    } catch (error) {
      unknown(error.message.slice(0, 200));
    } finally {
      asking = false;
    }
  }

  everySecond(() => {
    seconds += 1;
    if (!isHeard()) {
      unknown(gettext("This page is not connected."));
      seconds = EVERY_S;
    } else if (!asking && !document.hidden && seconds >= EVERY_S) {
      seconds = 0;
      ask();
    }
  });
}
