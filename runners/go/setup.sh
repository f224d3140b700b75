#!/bin/sh
# Makes, in this folder, a build cache that has the whole standard library, and test2json.
set -eu
cd "$(dirname "$0")"
home=$PWD
. "$home/env.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch" GOPATH="$scratch/go" GOCACHE="$home/go-build"

# Newer toolchains build this tool on demand; the tests must not wait for that.
go build -ldflags='-s -w' -o "$home/test2json" cmd/test2json

# One test that imports every public package, compiled the way run.sh compiles.
cd "$scratch"
go mod init warm
{
    echo 'package warm'
    go list std | grep -Ev '(^|/)(internal|vendor|cmd|builtin)(/|$)' | sed 's/.*/import _ "&"/'
} >warm_test.go
compile "$scratch/tests"
rm "$GOCACHE/trim.txt" # run.sh writes its own
