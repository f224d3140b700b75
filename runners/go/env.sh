# What warming the build cache and using it must have in common: other flags are other cache keys.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOPROXY=off GOWORK=off GOENV=off GOTELEMETRY=off
export GOFLAGS='-mod=readonly -trimpath -buildvcs=false'

# compile OUTPUT: the test binary of the package in the current folder. Never vets; no debug
# information, which is half of the linker's work (panics still name file and line). There is one
# core: more threads only cost, and so does collecting garbage while there is room.
compile() {
    GOMAXPROCS=1 GOGC=off GOMEMLIMIT=300MiB \
        go test -c -vet=off -gcflags=all=-dwarf=false -ldflags='-s -w' -o "$1" .
}
