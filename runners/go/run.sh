#!/bin/sh
# Compiles and runs the Go tests of the current folder. The contract is in ../README.md.
set -eu
exec 3>&1 1>&2 </dev/null
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
scratch=$PWD/.run
mkdir -p "$scratch/tmp"
export HOME="$scratch" TMPDIR="$scratch/tmp" GOPATH="$scratch/go" GOCACHE="$scratch/go-build"

# go writes to its cache, and the warm one is read-only: folders of our own with links to its
# files. Without the date of a last clean-up go would clean, and find all of it old.
cp -rs "$here/go-build" "$GOCACHE"
date +%s >"$GOCACHE/trim.txt"

code=0
compile "$scratch/tests" 3>&- || code=$?
case $code in
0) ;;
1) exit 3 ;;
*) exit 1 ;;
esac
[ -x "$scratch/tests" ] || exit 1

# Events go to the report, what tests print to the log: neither waits for the other's reader.
mkfifo "$scratch/printed"
tr -d '\026' <"$scratch/printed" 3>&- &
{
    code=0
    "$scratch/tests" -test.v=test2json -test.paniconexit0 2>&1 3>&- || code=$?
    echo "$code" >"$scratch/code"
} | tee "$scratch/printed" 3>&- |
    "$here/test2json" -p solution 3>&- |
    grep -v '"Action":"output"' >"$scratch/report" || true
wait
cat "$scratch/report" >&3

# Passed: the binary says so, its last event says so, and at least one test ran.
[ "$(cat "$scratch/code")" = 0 ] || exit 1
tail -n 1 "$scratch/report" | grep '"Action":"pass"' | grep -qv '"Test":' || exit 1
grep '"Action":"pass"' "$scratch/report" | grep -q '"Test":' || exit 1
