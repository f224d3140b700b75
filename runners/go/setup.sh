#!/bin/sh
# Builds, in this folder, test2json and build caches that hold the whole standard library: one, and
# one for the race detector. Where the detector does not work, missing/race says why.
set -eu
cd "$(dirname "$0")"
home=$PWD
. "$home/env.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch" GOPATH="$scratch/go"

# Recent toolchains build this tool on demand; the tests must not wait for that.
GOCACHE="$home/$cache" go build -ldflags='-s -w' -o "$home/test2json" cmd/test2json

# A test that imports every public package, compiled as run.sh compiles.
mkdir "$scratch/warm"
cd "$scratch/warm"
go mod init warm
{
    echo 'package warm'
    go list std | grep -Ev '(^|/)(internal|vendor|cmd|builtin)(/|$)' | sed 's/.*/import _ "&"/'
} >warm_test.go
fill() {
    GOCACHE="$home/$cache" compile "$scratch/$cache.test" "$(nproc)" &&
        rm "$home/$cache/trim.txt" # run.sh writes its own
}
fill

missing=
if command -v gcc >/dev/null; then
    # A library of C other than glibc may break the detector.
    (
        LLMBENCH_RACE=on
        . "$home/env.sh"
        fill && "$scratch/$cache.test" -test.run '^$'
    ) || missing="the C compiler cannot build the race detector"
else
    missing="there is no C compiler (gcc), which the race detector needs"
fi
if [ -n "$missing" ]; then
    rm -rf "$home/go-build-race"
    mkdir -p "$home/missing"
    echo "$missing" >"$home/missing/race"
fi
