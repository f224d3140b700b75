# What run.sh and warm.sh have in common.
# link_cache: go writes to its cache, and the warm one is read-only: folders of our own with links to
# its files. Without the date of a last clean-up go would clean, and find all of it old.
link_cache() {
    cp -rs "$here/go-build" "$GOCACHE"
    date +%s >"$GOCACHE/trim.txt"
}

canary_file=zz_llmbench_canary_test.go

# add_canary NAME: after all other tests, in their own package, which has the suffix _test if any has.
add_canary() {
    package=$(sed -n 's/^package \([A-Za-z0-9_]*\).*/\1/p' ./*_test.go | sort | tail -n 1)
    cat >"$canary_file" <<GO
package $package

import "testing"

func TestLlmbenchCanary(t *testing.T) { t.Run("$1", func(t *testing.T) { t.Fail() }) }
GO
}

# build OUTPUT CANARY: the test binary of the current folder, with a canary of this name. Exits with
# 3 if the compiler says no.
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

# run_tests BINARY SCRATCH: the events go to descriptor 3, what tests print to stderr: neither waits
# for the other's reader.
run_tests() {
    mkfifo "$2/printed"
    tr -d '\026' <"$2/printed" 3>&- |
        grep -vE 'TestLlmbenchCanary|^(=== NAME  |PASS|FAIL)$' 3>&- &
    report=$({ "$1" -test.v=test2json -test.paniconexit0 2>&1 3>&- || true; } |
        tee "$2/printed" 3>&- |
        "$here/test2json" -p solution 3>&- |
        grep -v '"Action":"output"')
    wait
    printf '%s\n' "$report" >&3

    # All passed: of failures there are those of the canary alone, its own, its parent's and the sum.
    [ "$(printf '%s\n' "$report" | grep -c '"Action":"fail"')" = 3 ]
}
