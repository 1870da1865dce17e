// Cuts from the vendored fonts what nearly every page shows: `node fonts.mjs FOLDER`.
//
// Inter 48 -> 22 KB, what the names of Europe need besides 85 -> 10 KB, JetBrains Mono 40 -> 8 KB. The whole files stay beside them, and a browser asks for these when a page
// has a character that the small ones lack (css/tokens.css).

import { readFileSync, writeFileSync } from "node:fs";
import subsetFont from "subset-font";

const folder = process.argv[2];
const range = (first, last) => String.fromCodePoint(...Array.from({ length: last - first + 1 }, (_, at) => first + at));
const ASCII = range(0x20, 0x7e);
const LATIN = ASCII + range(0xa0, 0xff) + "–—‘’‚“”„•…‹›€→←↑↓−";

async function cut(file, name, text, weights, keepFeatures) {
  const options = { targetFormat: "woff2", variationAxes: { wght: weights }, keepFeatures };
  writeFileSync(`${folder}/${name}.woff2`, await subsetFont(readFileSync(`${folder}/${file}.woff2`), text, options));
}

const KEPT = ["kern", "mark", "mkmk", "ccmp", "locl", "tnum"];
await cut("inter-latin-wght-normal", "inter-most", LATIN, { min: 400, max: 700 }, KEPT);
await cut("inter-latin-ext-wght-normal", "inter-names", range(0x100, 0x17f), { min: 400, max: 700 }, KEPT);
await cut("jetbrains-mono-latin-wght-normal", "mono-most", `${ASCII}…`, { min: 400, max: 600 }, ["zero"]);
