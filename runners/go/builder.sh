# The user that compiles and never runs a solution. Tests run as other users, which cannot reach its
# build cache.
. "$here/env.sh"
export HOME=/build GOPATH=/build/go GOCACHE=/build/go-build TMPDIR=/build/tmp

as_builder() { setpriv --reuid 10001 --regid 10001 --clear-groups "$@" </dev/null >&2; }
