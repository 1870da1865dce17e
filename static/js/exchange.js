// What the page of one exchange has beside cards and feed. The network page has none of it, and does not fetch it.

import { extend, isOpen } from "./page.js";
import { watchStandbys } from "./standbys.js";
import { watchSteering } from "./steering.js";
import { entriesArrived, redrawTimeline, watchTimeline } from "./timeline.js";

watchTimeline();
watchStandbys(isOpen);
extend({ entriesArrived, commandMoved: watchSteering(isOpen), tick: redrawTimeline });
