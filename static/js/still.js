// A page of a moment that is past: times are shown in the chosen zone, and nothing moves.

import { startClock } from "./clock.js";
import "./copy.js";
import { watchTabs } from "./tabs.js";
import { watchTimeline } from "./timeline.js";

startClock(JSON.parse(document.getElementById("page").textContent).now, { still: true });
watchTabs();
watchTimeline();
