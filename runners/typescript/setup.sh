#!/bin/sh
# Installs, in this folder, the packages of package-lock.json, and the compiler as ./tsc.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# node from a Python package has no npm on PATH; every node has npm in this folder.
npm=$(node -p 'path.resolve(fs.realpathSync(process.execPath), "../../lib/node_modules/npm/bin/npm-cli.js")')
# npm_ OPTION…: run npm; a failure ends in the line of its reason, which npm prints before its advice.
npm_() {
    node "$npm" "$@" --cache "$scratch" --no-update-notifier >"$scratch/npm.log" 2>&1 || {
        echo "npm $1: $(grep -m 1 -E 'reason:|timeout at:' "$scratch/npm.log" ||
            tail -n 3 "$scratch/npm.log")"
        exit 1
    }
}
# A small package first: a registry that cannot be reached is reported soon, and large packages may
# take their time.
npm_ view why-is-node-running version --fetch-retries=0 --fetch-timeout=20000
npm_ ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000
# The package's own tsc only starts this program, through a whole node.
ln -sf "$(node -p '`node_modules/@typescript/typescript-${process.platform}-${process.arch}/lib/tsc`')" tsc
./tsc --version
