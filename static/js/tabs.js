// Bottom tabs of a phone: which of the two parts of the page is in sight.

export function watchTabs() {
  const activity = document.getElementById("activity");
  const [main, feed] = ["main", "activity"].map((name) => document.querySelector(`[data-tab="${name}"]`));
  if (!activity || !main || main.pathname !== location.pathname) return;
  new IntersectionObserver(
    ([seen]) => {
      const inFeed = seen.isIntersecting;
      const [here, other] = inFeed ? [feed, main] : [main, feed];
      here.setAttribute("aria-current", inFeed ? "true" : "page");
      other.removeAttribute("aria-current");
    },
    { rootMargin: "-70% 0px -30% 0px" }, // a line in the lower part of the screen, which even a short feed reaches
  ).observe(activity);
}
