#!/bin/sh
# Runs the pytest tests of the current folder. The contract is in ../README.md.
set -eu
exec 3>&1 1>&2 </dev/null
here=$(cd "$(dirname "$0")" && pwd)
scratch=$PWD/.run
mkdir -p "$scratch/tmp"
export HOME="$scratch" TMPDIR="$scratch/tmp" PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
# Finding installed plugins costs more than the tests; pytest.ini names the one that is wanted.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

code=0
python -P -m pytest -c "$here/pytest.ini" --rootdir="$PWD" -o pythonpath="$PWD" \
    --junitxml="$scratch/report.xml" 3>&- || code=$?
report=$scratch/report.xml
[ -f "$report" ] || exit 1
cat "$report" >&3

# pytest ends with 2 when it could not import a file, and its report says of which.
if [ "$code" = 2 ] && grep -q '<error message="collection failure"' "$report"; then exit 3; fi
[ "$code" = 0 ] || exit 1
# Passed: a complete report without a failure, in which at least one test was not skipped.
tail -c 20 "$report" | grep -q '</testsuites>' || exit 1
if grep -qE '<(failure|error)[ />]' "$report"; then exit 1; fi
tests=$(grep -o '<testcase ' "$report" | wc -l)
skipped=$(grep -o '<skipped' "$report" | wc -l)
[ "$tests" -gt "$skipped" ]
