// The markup of an element without what differs by the moment: durations, the gauge's width, white space between tags,
// notes that were wanted once, and the band of the last hours, which comes later.
(element) => {
  const copy = element.cloneNode(true);
  for (const tick of copy.querySelectorAll("[data-of]")) {
    tick.removeAttribute("data-at");
    if (!tick.hidden) tick.textContent = "…";
  }
  for (const time of copy.querySelectorAll("time")) {
    if (["expires_at", "beat_at", "running_since", "active_since"].includes(time.dataset.ts)) {
      time.removeAttribute("datetime");
      time.textContent = "…";
    }
  }
  for (const notes of copy.querySelectorAll("[data-noted]")) {
    if ([...notes.children].every((note) => note.hidden)) notes.replaceChildren();
  }
  for (const band of copy.querySelectorAll("[data-drawn]")) band.replaceChildren();
  for (const bar of copy.querySelectorAll("rect")) bar.removeAttribute("width");
  for (const opened of copy.querySelectorAll("details")) opened.removeAttribute("open");
  return copy.outerHTML
    .replace(/\s+/g, " ")
    .replaceAll('hidden=""', "hidden")
    .replace(/ ?([<>]) ?/g, "$1");
};
