# The steps that run.sh and warm.sh share.

# link_cache: make a writable build cache of links into the read-only one. Without the date of the
# last clean-up go would clean the cache and find all of it old.
link_cache() {
    cp -rs "$here/go-build" "$GOCACHE"
    date +%s >"$GOCACHE/trim.txt"
}

canary_file=zz_llmbench_canary_test.go

# add_canary NAME: write a test that fails and runs after all others, in the package of the tests:
# the one with the suffix _test, if there is one.
add_canary() {
    package=$(sed -n 's/^package \([A-Za-z0-9_]*\).*/\1/p' ./*_test.go | sort | tail -n 1)
    cat >"$canary_file" <<GO
package $package

import "testing"

func TestLlmbenchCanary(t *testing.T) { t.Run("$1", func(t *testing.T) { t.Fail() }) }
GO
}

# build OUTPUT CANARY: compile the tests of the current folder with a canary of this name. Exits
# with 3 if the code does not compile.
build() {
    add_canary "$2"
    code=0
    compile "$1" || code=$?
    rm -f "$canary_file"
    case $code in
    0) ;;
    1) exit 3 ;;
    137) exit 137 ;;
    *) exit 1 ;;
    esac
}

# run_tests BINARY SCRATCH: run the tests. Their events go to descriptor 3, their output to stderr;
# two pipes, so that neither waits for the reader of the other.
run_tests() {
    mkfifo "$2/output"
    tr -d '\026' <"$2/output" 3>&- |
        grep -vE 'TestLlmbenchCanary|^(=== NAME  |PASS|FAIL)$' 3>&- &
    report=$({ "$1" -test.v=test2json -test.paniconexit0 2>&1 3>&- || true; } |
        tee "$2/output" 3>&- |
        "$here/test2json" -p solution 3>&- |
        grep -v '"Action":"output"')
    wait
    printf '%s\n' "$report" >&3

    # If all passed, the canary causes the only three failures: its own, its parent's and the total.
    [ "$(printf '%s\n' "$report" | grep -c '"Action":"fail"')" = 3 ]
}
