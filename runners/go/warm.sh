#!/bin/sh
# Runs one job after another with a build cache that stays warm. The contract is in ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/builder.sh"
as_builder sh -c 'umask 077; mkdir "$TMPDIR"'
link_own_cache
echo ready >&3
while read -r canary uid cpu wall pids options; do
    code=0
    env $options timeout -s KILL "$wall" sh "$here/job.sh" "$canary" "$uid" "$cpu" "$pids" 3>&- \
        2>>/proc/self/fd/2 || code=$? # an opening of the log's pipe of its own
    echo "$code" >&3
done
