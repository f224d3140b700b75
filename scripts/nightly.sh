#!/usr/bin/env bash
# A night: sweep, compare with the last good night, write summary and page, keep so many nights.
#
#   scripts/nightly.sh SWEEP.yaml NIGHTS [KEEP]
#
# NIGHTS is the `out` folder of the sweep file; of each set in it the last KEEP nights are kept
# (default: 30), and the last good one always. LLMBENCH is the command (default: llmbench), POINTS
# the fall in percentage points that is a regression (default: what chance does not explain),
# NIGHT the date (default: today). In NIGHTS/<set>/<date>/ are summary.md and report.html, which
# needs pip install 'llmbench[report]'.
# Exit codes: 0 a good night, 1 a regression or a failed run, 2 nothing to compare or wrong usage.
set -uo pipefail

if [[ $# -lt 2 || $# -gt 3 || ! ${3:-30} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: scripts/nightly.sh SWEEP.yaml NIGHTS [KEEP]" >&2
    exit 2
fi
sweep=$1 nights=$2 keep=${3:-30}
night=${NIGHT:-$(date +%F)}
read -ra llmbench <<<"${LLMBENCH:-llmbench}"

"${llmbench[@]}" sweep "$sweep" --date "$night" --quiet
swept=$?

worst=$swept
found=
for set in "$nights"/*/; do
    set=${set%/}
    [[ -d $set/$night ]] || continue
    found=1
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
    # What cannot be compared is told once: on the problems as they are now, the next night can.
    if [[ $swept -eq 0 && $code -ne 1 ]]; then
        echo "$night" >"$set/last-good"
    fi
    printf '\n## Nights\n\n' >>"$summary"
    "${llmbench[@]}" history "$set" --last "$keep" --format markdown >>"$summary" || code=$?
    "${llmbench[@]}" report "$set" -o "$set/$night/report.html" >/dev/null || code=$?
    ((code > worst)) && worst=$code
    echo "$summary"

    good=$(cat "$set/last-good" 2>/dev/null)
    for old in $(ls "$set" | grep -xE '[0-9]{4}-[0-9]{2}-[0-9]{2}' | head -n "-$keep"); do
        [[ $old == "$good" ]] || rm -r -- "${set:?}/$old"
    done
done
if [[ -z $found ]]; then
    echo "nightly: no result of $night in $nights" >&2
    if ((worst == 0)); then
        echo "nightly: $nights is not the out folder of $sweep" >&2
        worst=2
    fi
fi
exit "$worst"
