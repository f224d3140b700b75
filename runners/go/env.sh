# The settings that filling the build cache and using it must share: they are part of its keys.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOPROXY=off GOWORK=off GOENV=off GOTELEMETRY=off
export GOFLAGS='-mod=readonly -trimpath -buildvcs=false'

# compile OUTPUT: build the test binary of the current folder's package. It does not vet. It leaves
# out debug information, which is half of the linker's work; panics still name file and line. On one
# core more threads only cost, and so does garbage collection while there is room.
compile() {
    GOMAXPROCS=1 GOGC=off GOMEMLIMIT=300MiB \
        go test -c -vet=off -gcflags=all=-dwarf=false -ldflags='-s -w' -o "$1" .
}
