#!/bin/sh
# Compiles and runs the Go tests of the current folder. The contract is in ../README.md.
set -eu
exec 3>&1 1>&2
read -r canary
exec </dev/null
here=${0%/*}
. "$here/env.sh"
. "$here/steps.sh"
scratch=$PWD/.run
mkdir -p "$scratch/tmp"
export HOME="$scratch" TMPDIR="$scratch/tmp" GOPATH="$scratch/go" GOCACHE="$scratch/go-build"
link_cache
expected_tests >&3
build "$scratch/tests" "$canary" 3>&-
run_tests "$scratch/tests" "$scratch"
