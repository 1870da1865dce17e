// Loaded before the first paint, so that a remembered theme never flashes the other one. Not a module: those run too late.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const THEMES = ["system", "light", "dark"];
  const remembered = () => {
    try {
      const theme = localStorage.getItem("perseus-theme");
      return THEMES.includes(theme) ? theme : "system";
    } catch {
      return "system"; // storage is forbidden in this browser
    }
  };
  const apply = (theme) => {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  let theme = remembered();
  apply(theme);

  const name = (button) => {
    const said = button.dataset[theme]; // in the language of the page: this script runs before any catalogue
    button.setAttribute("aria-label", said);
    button.title = said;
    const use = button.querySelector("use");
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#i-${theme}`));
  };
  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      name(button);
      button.addEventListener("click", () => {
        theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
        apply(theme);
        name(button);
        try {
          localStorage.setItem("perseus-theme", theme);
        } catch {
          // It holds for this page then.
        }
      });
    }
  });
})();
