// Copy buttons: the text beside them, or the whole raw entry where only a part of it is shown.

import { gettext } from "./words.js";

/** Whether more belongs to it than stands in the page. */
const isCut = (button) => button.closest(".raw")?.querySelector('[data-with="hidden"]')?.hidden === false;

async function textOf(button) {
  if (isCut(button)) {
    const { href } = button.closest(".raw").querySelector("[data-href]");
    const response = await fetch(href, { signal: AbortSignal.timeout(15000) });
    if (response.redirected) throw new Error("signed out"); // what came is the page to sign in
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response.text();
  }
  return button.closest(".raw, .cmd").querySelector("[data-copied]").textContent.trim();
}

/** Without a secure origin (http:// on another machine) there is no clipboard; a selection is the next best thing. */
function select(button) {
  const range = document.createRange();
  range.selectNodeContents(button.closest(".raw, .cmd").querySelector("[data-copied]"));
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.lastElementChild;
  button.dataset.label ??= label.textContent;
  try {
    if (!navigator.clipboard) throw new Error("no clipboard");
    await navigator.clipboard.writeText(await textOf(button));
    label.textContent = gettext("Copied");
  } catch {
    select(button);
    label.textContent = isCut(button) ? gettext("Selected: only the part that is here") : gettext("Selected: copy it by keyboard");
  }
  setTimeout(() => { label.textContent = button.dataset.label; }, 2500);
});
