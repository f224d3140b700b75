#!/bin/sh
# Installs, in this folder, the packages of package-lock.json, the compiler as ./tsc, and a compile
# cache of Vitest's modules for node.
set -eu
cd "$(dirname "$0")"
here=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# node from a Python package has no npm on PATH; every node has npm in this folder.
npm=$(node -p 'path.resolve(fs.realpathSync(process.execPath), "../../lib/node_modules/npm/bin/npm-cli.js")')
node "$npm" ci --ignore-scripts --no-audit --no-fund --cache "$scratch"
# The package's own tsc only starts this program, through a whole node.
ln -sf "$(node -p '`node_modules/@typescript/typescript-${process.platform}-${process.arch}/lib/tsc`')" tsc
./tsc --version

mkdir "$scratch/tests"
cd "$scratch/tests"
echo '{"type": "module"}' >package.json
echo 'import { expect, test } from "vitest"; test("one", () => expect(1).toBe(1));' >one.test.ts
echo canary | sh "$here/run.sh" 2>"$scratch/log" || { cat "$scratch/log"; exit 1; }
