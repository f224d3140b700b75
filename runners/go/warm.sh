#!/bin/sh
# Runs one job after another with a build cache that stays warm. The contract is in ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/builder.sh"
as_builder sh -c 'umask 077; here=$1; . "$1/steps.sh"; mkdir "$TMPDIR"; link_cache' sh "$here"
echo ready >&3
while read -r canary uid cpu wall pids _; do
    code=0
    timeout -s KILL "$wall" sh "$here/job.sh" "$canary" "$uid" "$cpu" "$pids" 3>&- \
        2>>/proc/self/fd/2 || code=$? # an opening of the log's pipe of its own
    echo "$code" >&3
done
