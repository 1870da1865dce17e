// Bottom tabs of a phone: which of the two parts of the page is in sight.

export function watchTabs() {
  const activity = document.getElementById("activity");
  const [main, feed] = ["main", "activity"].map((name) => document.querySelector(`[data-tab="${name}"]`));
  if (!activity || !main || !feed) return;
  const home = main.hasAttribute("aria-current");
  new IntersectionObserver(
    ([seen]) => {
      const inFeed = seen.isIntersecting;
      feed.toggleAttribute("aria-current", inFeed);
      if (inFeed) feed.setAttribute("aria-current", "true");
      if (home && !inFeed) main.setAttribute("aria-current", "page");
      else main.removeAttribute("aria-current");
    },
    { rootMargin: "-35% 0px -65% 0px" }, // the line a third down the screen
  ).observe(activity);
}
