#!/bin/sh
# Compiles and runs the Go tests of the current folder. The contract is in ../README.md.
set -eu
exec 3>&1 1>&2
read -r canary
exec </dev/null
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
scratch=$PWD/.run
mkdir -p "$scratch/tmp"
export HOME="$scratch" TMPDIR="$scratch/tmp" GOPATH="$scratch/go" GOCACHE="$scratch/go-build"

# go writes to its cache, and the warm one is read-only: folders of our own with links to its
# files. Without the date of a last clean-up go would clean, and find all of it old.
cp -rs "$here/go-build" "$GOCACHE"
date +%s >"$GOCACHE/trim.txt"

# The canary, after all other tests: in the tests' own package, which has the suffix _test if any has.
package=$(sed -n 's/^package \([A-Za-z0-9_]*\).*/\1/p' ./*_test.go | sort | tail -n 1)
cat >zz_llmbench_canary_test.go <<END
package $package

import "testing"

func TestLlmbenchCanary(t *testing.T) { t.Run("$canary", func(t *testing.T) { t.Fail() }) }
END
code=0
compile "$scratch/tests" 3>&- || code=$?
rm -f zz_llmbench_canary_test.go
case $code in
0) ;;
1) exit 3 ;;
*) exit 1 ;;
esac
[ -x "$scratch/tests" ] || exit 1

# Events go to the report, what tests print to the log: neither waits for the other's reader.
mkfifo "$scratch/printed"
tr -d '\026' <"$scratch/printed" 3>&- |
    grep -vE 'TestLlmbenchCanary|^(=== NAME  |PASS|FAIL)$' 3>&- &
report=$({ "$scratch/tests" -test.v=test2json -test.paniconexit0 2>&1 3>&- || true; } |
    tee "$scratch/printed" 3>&- |
    "$here/test2json" -p solution 3>&- |
    grep -v '"Action":"output"')
wait
printf '%s\n' "$report" >&3

# All passed: of failures there are those of the canary alone, its own, its parent's and the sum.
[ "$(printf '%s\n' "$report" | grep -c '"Action":"fail"')" = 3 ]
