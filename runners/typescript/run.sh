#!/bin/sh
# Type-checks, compiles and runs the TypeScript tests of the current folder. The contract is in
# ../README.md.
set -eu
exec 3>&1 1>&2
here=${0%/*}
scratch=$PWD/.run
mkdir -p "$scratch/tmp"
export HOME="$scratch" TMPDIR="$scratch/tmp" NO_COLOR=1

case ${LLMBENCH_TYPECHECK:-strict} in
strict) set -- --strict true ;;
basic) set -- --strict false ;;
off) set -- --noCheck ;;
*) echo "LLMBENCH_TYPECHECK=$LLMBENCH_TYPECHECK is not strict, basic or off"; exit 1 ;;
esac
ln -s "$here/node_modules" node_modules
printf '{"extends": "%s/tsconfig.json"}\n' "$here" >tsconfig.json
code=0
# Garbage collection while there is room would be a quarter of the compiler's work.
GOGC=off GOMEMLIMIT=500MiB "$here/tsc" -p . --singleThreaded "$@" </dev/null 3>&- || code=$?
# With noEmitOnError, 1 means that the code has errors; any other code is a failure of the compiler.
case $code in
0) ;;
1) exit 3 ;;
*) exit 1 ;;
esac

tests=$(find . -name '*.test.js' -not -path './node_modules/*')
[ -n "$tests" ] || { echo "no *.test.ts file"; exit 1; }
# The report comes through a pipe, so that a solution cannot take back a line of it. Only node holds
# the pipe: it passes no descriptor on to what it starts. node reads the canary's name from stdin.
if find . -name '*.test.ts' -exec grep -qE "from +['\"]vitest['\"]" {} +; then
    cp "$here/canary.vitest.mjs" llmbench-canary.test.js
    report=$(node node_modules/vitest/vitest.mjs run --config "$here/vitest.config.mjs" \
        --configLoader native --root "$PWD" --outputFile.junit=/proc/self/fd/4 \
        4>&1 1>&2 3>&-) || true
else
    # One process: a solution that ends it also ends the report.
    report=$(node --test --test-isolation=none --test-force-exit --import "$here/resolve.mjs" \
        --test-reporter="$here/log.mjs" --test-reporter-destination=stderr \
        --test-reporter="$here/junit.mjs" --test-reporter-destination=stderr \
        "$here/tests.mjs" 4>&1 1>&2 3>&-) || true
fi
# Lines "returned N" count the functions of tests that returned, as the runner saw it from within.
# If all passed, the canary's is the only failure, and every other test returned.
printf '%s\n' "$report" | awk '
    /^returned [0-9]+$/ { returned += $2; next }
    /<testcase / { cases++ }
    /<skipped/ { skipped++ }
    /<(failure|error)[ >]/ { failed++ }
    { print }
    END { exit !(failed == 1 && cases - skipped - failed <= returned + 0) }' >&3
