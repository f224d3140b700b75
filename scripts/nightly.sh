#!/usr/bin/env bash
# Runs `llmbench nightly` with the arguments of earlier versions:
#
#   scripts/nightly.sh SWEEP.yaml NIGHTS [KEEP]
#
# NIGHTS is the `out` folder of the sweep file, KEEP the number of nights to keep (default: 30).
# Environment: LLMBENCH, the command (default: llmbench); POINTS and NIGHT, the values of --points
# and --date. Exit codes are those of `llmbench nightly`.
[[ $# -ge 2 && $# -le 3 ]] || { echo "usage: scripts/nightly.sh SWEEP.yaml NIGHTS [KEEP]" >&2; exit 2; }
read -ra llmbench <<<"${LLMBENCH:-llmbench}"
exec "${llmbench[@]}" nightly "$1" --quiet --nights "$2" --keep "${3:-30}" \
    ${NIGHT:+"--date=$NIGHT"} ${POINTS:+"--points=$POINTS"}
