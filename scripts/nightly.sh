#!/usr/bin/env bash
# Runs a nightly sweep, compares it with the last good night, writes a summary and a page, and
# removes old nights.
#
#   scripts/nightly.sh SWEEP.yaml NIGHTS [KEEP]
#
# NIGHTS is the `out` folder of the sweep file. In each set of it the script keeps the last KEEP
# nights (default: 30), and always the last good one. It writes NIGHTS/<set>/<date>/summary.md and
# report.html; the page needs pip install 'llmbench[report]'.
#
# Environment:
#   LLMBENCH  the command (default: llmbench)
#   POINTS    a fall of the pass rate by more percentage points is a regression (default: a fall
#             that chance does not explain)
#   NIGHT     the date (default: today)
#
# Exit codes: 0 a good night, 1 a regression or a failed run, 2 no comparison is possible or wrong
# usage.
set -uo pipefail

if [[ $# -lt 2 || $# -gt 3 || ! ${3:-30} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: scripts/nightly.sh SWEEP.yaml NIGHTS [KEEP]" >&2
    exit 2
fi
sweep=$1 nights=$2 keep=${3:-30}
night=${NIGHT:-$(date +%F)}
read -ra llmbench <<<"${LLMBENCH:-llmbench}"

"${llmbench[@]}" sweep "$sweep" --date "$night" --quiet
sweep_code=$?

worst=$sweep_code
has_results=
for set in "$nights"/*/; do
    set=${set%/}
    [[ -d $set/$night ]] || continue
    has_results=1
    summary=$set/$night/summary.md
    good=$(cat "$set/last-good" 2>/dev/null)
    code=0
    printf '# %s, %s\n\n' "${set##*/}" "$night" >"$summary"
    if [[ -d $set/$good && -n $good && $good != "$night" ]]; then
        printf '## Against %s, the last good night\n\n' "$good" >>"$summary"
        "${llmbench[@]}" compare "$set/$good" "$set/$night" --format markdown \
            "--fail-on-regression=${POINTS:-significant}" >>"$summary"
        code=$?
    fi
    # If the problems have changed, this is reported once: the next night is compared with this one.
    if [[ $sweep_code -eq 0 && $code -ne 1 ]]; then
        echo "$night" >"$set/last-good"
    fi
    printf '\n## History\n\n' >>"$summary"
    "${llmbench[@]}" history "$set" --last "$keep" --format markdown >>"$summary" || code=$?
    "${llmbench[@]}" report "$set" -o "$set/$night/report.html" >/dev/null || code=$?
    ((code > worst)) && worst=$code
    echo "$summary"

    good=$(cat "$set/last-good" 2>/dev/null)
    for old in $(ls "$set" | grep -xE '[0-9]{4}-[0-9]{2}-[0-9]{2}' | head -n "-$keep"); do
        [[ $old == "$good" ]] || rm -r -- "${set:?}/$old"
    done
done
if [[ -z $has_results ]]; then
    echo "nightly: no result of $night in $nights" >&2
    if ((worst == 0)); then
        echo "nightly: $nights is not the out folder of $sweep" >&2
        worst=2
    fi
fi
exit "$worst"
