#!/bin/sh
# Builds, in this folder, test2json and a build cache that holds the whole standard library.
set -eu
cd "$(dirname "$0")"
home=$PWD
. "$home/env.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch" GOPATH="$scratch/go" GOCACHE="$home/go-build"

# Recent toolchains build this tool on demand; the tests must not wait for that.
go build -ldflags='-s -w' -o "$home/test2json" cmd/test2json

# A test that imports every public package, compiled as run.sh compiles.
cd "$scratch"
go mod init warm
{
    echo 'package warm'
    go list std | grep -Ev '(^|/)(internal|vendor|cmd|builtin)(/|$)' | sed 's/.*/import _ "&"/'
} >warm_test.go
compile "$scratch/tests"
rm "$GOCACHE/trim.txt" # run.sh writes its own
