#!/bin/sh
# Runs one job of warm.sh: the builder compiles it, the job's user runs its tests.
set -eu
canary=$1 uid=$2 cpu=$3 pids=$4
here=${0%/*}
. "$here/builder.sh"
. "$here/steps.sh"
echo 1000 >/proc/self/oom_score_adj
expected_tests
[ -d "$GOCACHE" ] || link_own_cache
as_builder prlimit --cpu="$cpu" sh -c '. "$1/env.sh"; . "$1/steps.sh"; build /build/tests "$2"' \
    sh "$here" "$canary" || exit
exec 3>&1 1>&2
exec prlimit --nproc="$pids" --cpu="$cpu" setpriv --reuid "$uid" --regid "$uid" --clear-groups \
    env -i PATH="$PATH" HOME=/work/.run TMPDIR=/work/.run/tmp LLMBENCH_RACE="${LLMBENCH_RACE:-off}" \
    sh -c 'here=$1; . "$1/steps.sh"; mkdir -p "$TMPDIR"; run_tests /build/tests .run' sh "$here" \
    </dev/null
