// What the page of one exchange has beside cards and feed. The network page has none of it, and does not fetch it.

import { extend, isHeard } from "./page.js";
import { watchStandbys } from "./standbys.js";
import { watchSteering } from "./steering.js";
import { entriesArrived, redrawTimeline, watchTimeline } from "./timeline.js";

watchTimeline();
watchStandbys(isHeard);
extend({ entriesArrived, commandMoved: watchSteering(isHeard), tick: redrawTimeline });
