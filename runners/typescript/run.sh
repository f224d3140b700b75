#!/bin/sh
# Checks, emits and runs the TypeScript tests of the current folder. The contract is in ../README.md.
set -eu
exec 3>&1 1>&2 </dev/null
here=$(cd "$(dirname "$0")" && pwd)
scratch=$PWD/.run
report=$scratch/report.xml
mkdir -p "$scratch/tmp"
export HOME="$scratch" TMPDIR="$scratch/tmp"

case ${LLMBENCH_TYPECHECK:-strict} in
strict) set -- --strict true ;;
basic) set -- --strict false ;;
off) set -- --noCheck ;;
*) echo "LLMBENCH_TYPECHECK=$LLMBENCH_TYPECHECK is not strict, basic or off"; exit 1 ;;
esac
ln -s "$here/node_modules" node_modules
printf '{"extends": "%s/tsconfig.json"}\n' "$here" >tsconfig.json
code=0
"$here/tsc" -p . --singleThreaded "$@" 3>&- || code=$?
# With noEmitOnError, 1 is "there were errors"; anything else is a compiler that broke.
case $code in
0) ;;
1) exit 3 ;;
*) exit 1 ;;
esac

tests=$(find . -name '*.test.js' -not -path './node_modules/*')
[ -n "$tests" ] || { echo "no *.test.ts file"; exit 1; }
code=0
if find . -name '*.test.ts' -exec grep -qE "from +['\"]vitest['\"]" {} +; then
    node node_modules/vitest/vitest.mjs run --config "$here/vitest.config.mjs" \
        --configLoader native --root "$PWD" --outputFile.junit="$report" 3>&- || code=$?
else
    # In one process: a solution that ends it also ends the report.
    node --test --test-isolation=none --test-force-exit --import "$here/resolve.mjs" \
        --test-reporter=spec --test-reporter-destination=stderr \
        --test-reporter=junit --test-reporter-destination="$report" $tests 3>&- || code=$?
fi
[ -f "$report" ] || exit 1
cat "$report" >&3

# Passed: a complete report without a failure, in which at least one test was not skipped. A file
# without tests is reported as a test of its name.
[ "$code" = 0 ] || exit 1
tail -c 20 "$report" | grep -q '</testsuites>' || exit 1
if grep -qE '<(failure|error)[ />]' "$report"; then exit 1; fi
tests=$(grep '<testcase ' "$report" | grep -vc '<testcase name="[^"]*\.test\.js"')
skipped=$(grep -o '<skipped' "$report" | wc -l)
[ "$tests" -gt "$skipped" ]
