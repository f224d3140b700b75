# The user who compiles, which runs nothing of a solution; tests are others and cannot reach its cache.
. "$here/env.sh"
export HOME=/build GOPATH=/build/go GOCACHE=/build/go-build TMPDIR=/build/tmp

as_builder() { setpriv --reuid 10001 --regid 10001 --clear-groups "$@" </dev/null >&2; }
