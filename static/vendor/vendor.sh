#!/bin/sh
# Puts fonts and icons from the packages that package-lock.json pins into static/, with their licences.
# The results are committed: only who changes a version or an icon runs this (`make vendor`). Needs npm and node.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$here/fonts.mjs" "$work/"
(cd "$work" && npm ci --no-audit --no-fund --loglevel=error)

inter="$work/node_modules/@fontsource-variable/inter"
mono="$work/node_modules/@fontsource-variable/jetbrains-mono"
cp "$inter/files/inter-latin-wght-normal.woff2" "$inter/files/inter-latin-ext-wght-normal.woff2" "$here/"
cp "$mono/files/jetbrains-mono-latin-wght-normal.woff2" "$here/"
(cd "$work" && node fonts.mjs "$here")
cp "$inter/LICENSE" "$here/LICENSE-inter.txt"
cp "$mono/LICENSE" "$here/LICENSE-jetbrains-mono.txt"
cp "$work/node_modules/@tabler/icons/LICENSE" "$here/LICENSE-tabler-icons.txt"
node "$here/icons.mjs" "$work/node_modules/@tabler/icons/icons/outline" > "$work/icons.svg"
mv "$work/icons.svg" "$here/../icons.svg"
