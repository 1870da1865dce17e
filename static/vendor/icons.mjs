// Writes static/icons.svg to stdout: the brand mark, the six state glyphs (16 x 16, ours) and the Tabler icons named below.
// Usage: node icons.mjs FOLDER-OF-TABLER-OUTLINE-ICONS
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];

// our name: Tabler's name
const icons = {
  activity: "broadcast",
  admin: "settings",
  beat: "activity",
  bell: "bell",
  braces: "braces",
  broken: "file-broken",
  bulb: "bulb",
  check: "check",
  copy: "copy",
  dark: "moon",
  database: "database-off",
  down: "chevron-down",
  error: "alert-triangle",
  gap: "cut",
  grid: "layout-grid",
  key: "key",
  late: "hourglass",
  light: "sun",
  lock: "lock",
  newer: "arrow-up",
  nobody: "user-plus",
  reload: "refresh",
  right: "chevron-right",
  server: "server-2",
  signout: "logout",
  system: "contrast",
  term: "prompt",
  to: "arrow-right",
  unfenced: "shield-off",
  unknown: "help-circle",
  unplugged: "plug-connected-x",
};

// Shape tells the state without colour: circles on the way up, squares on the way down, fuller is further.
const glyphs = {
  idle: `<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/>`,
  starting: `<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 2a6 6 0 0 1 6 6H8z" fill="currentColor"/>`,
  warming: `<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/><path d="M2 8a6 6 0 0 0 12 0z" fill="currentColor"/>`,
  active: `<circle cx="8" cy="8" r="7" fill="currentColor"/>`,
  stopping: `<rect x="2" y="2" width="12" height="12" rx="2" fill="none" stroke="currentColor" stroke-width="2"/><path d="M2 8h12v4a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2z" fill="currentColor"/>`,
  stopped: `<rect x="1" y="1" width="14" height="14" rx="2.5" fill="currentColor"/>`,
};

// Three instances around one point; lost is a line that is broken by a cross.
const own = {
  perseus: `<g fill="currentColor" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"><path fill="none" d="M12.5 12.5 5 6.5M12.5 12.5 20 8M12.5 12.5 11.5 20.5"/><circle cx="12.5" cy="12.5" r="2.1"/><circle cx="4.6" cy="6.2" r="1.7"/><circle cx="20" cy="8" r="1.7"/><circle cx="11.5" cy="20.4" r="1.7"/></g>`,
  person: `<circle cx="12" cy="8" r="4" /><path d="M5 20.5c0 -3.6 3 -6 7 -6s7 2.4 7 6" />`,
  lost: `<path d="M1.5 12h5M17.5 12h5M8.75 8.75l6.5 6.5M15.25 8.75l-6.5 6.5"/>`,
};

function tabler(name) {
  const source = readFileSync(join(folder, `${name}.svg`), "utf8");
  const body = source.slice(source.indexOf(">", source.indexOf("<svg")) + 1, source.lastIndexOf("</svg>"));
  return body.replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" ?\/>/, "").replace(/\s*\n\s*/g, "").trim();
}

const symbols = [
  ...Object.entries(glyphs).map(([name, body]) => `<symbol id="s-${name}" viewBox="0 0 16 16">${body}</symbol>`),
  ...Object.entries(own).map(([name, body]) => `<symbol id="i-${name}" viewBox="0 0 24 24">${body}</symbol>`),
  ...Object.entries(icons).map(([name, file]) => `<symbol id="i-${name}" viewBox="0 0 24 24">${tabler(file)}</symbol>`),
];
// No stroke attributes inside the symbols: the <svg> that uses one sets width and colour, so one icon serves every size.
process.stdout.write(
  `<!-- Written by vendor/icons.mjs. Icons: Tabler Icons, MIT, see vendor/LICENSE-tabler-icons.txt. Glyphs and mark: ours. -->\n` +
    `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`,
);
