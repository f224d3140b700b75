# The settings that filling a build cache and using it must share: they are part of its keys.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOPROXY=off GOWORK=off GOENV=off GOTELEMETRY=off
export GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
cache=go-build

# The race detector is a C library. Of the standard library only runtime/cgo is compiled by the C
# compiler: names and users are looked up as without the detector.
if [ "${LLMBENCH_RACE:-off}" = on ]; then
    export CGO_ENABLED=1 GOFLAGS="$GOFLAGS -race -tags=netgo,osusergo"
    cache=go-build-race
fi

# compile OUTPUT [CORES]: build the test binary of the current folder's package. It does not vet. It
# leaves out debug information, which is half of the linker's work; panics still name file and line.
# On one core more threads only cost, and so does garbage collection while there is room.
compile() {
    GOMAXPROCS=${2:-1} GOGC=off GOMEMLIMIT=300MiB \
        go test -c -vet=off -gcflags=all=-dwarf=false -ldflags='-s -w' -o "$1" .
}
