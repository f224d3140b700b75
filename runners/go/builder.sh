# The user that compiles and never runs a solution. Tests run as other users, which cannot reach its
# build cache.
. "$here/env.sh"
export HOME=/build GOPATH=/build/go "GOCACHE=/build/$cache" TMPDIR=/build/tmp

as_builder() { setpriv --reuid 10001 --regid 10001 --clear-groups "$@" </dev/null >&2; }

# link_own_cache: make the builder's build cache.
link_own_cache() { as_builder sh -c 'umask 077; here=$1; . "$1/env.sh"; . "$1/steps.sh"; link_cache' sh "$here"; }
