# The steps that run.sh and warm.sh share.

# race: true if the race detector judges.
race() { [ "${LLMBENCH_RACE:-off}" = on ]; }

# link_cache: make a writable build cache of links into the read-only one. Without the date of the
# last clean-up go would clean the cache and find all of it old.
link_cache() {
    cp -rs "$here/$cache" "$GOCACHE"
    date +%s >"$GOCACHE/trim.txt"
}

canary_file=zz_llmbench_canary_test.go

# add_canary NAME: write a test that runs after all others, in the package of the tests: the one with
# the suffix _test, if there is one. It fails if every usual way to fail still works, once more for
# each; and if no test before it has failed, as the testing package knows, and no race was detected
# inside or outside of a test, it fails alone.
add_canary() {
    import=
    no_race=
    if race; then
        import='"runtime"'
        no_race=' && runtime.RaceErrors() == 0'
    fi
    package=$(awk '/^package / { sub(/[^A-Za-z0-9_].*/, "", $2); if ($2 > last) last = $2 }
        END { print last }' ./*_test.go)
    cat >"$canary_file" <<GO
package $package

import (
	"reflect"
	$import
	"strconv"
	"testing"
)

func TestLlmbenchCanary(t *testing.T) {
	parent := reflect.ValueOf(t).Elem().FieldByName("parent").Elem()
	alone := !parent.FieldByName("failed").Bool()$no_race
	ways := []func(*testing.T){
		(*testing.T).Fail,
		(*testing.T).FailNow,
		func(t *testing.T) { t.Error() },
		func(t *testing.T) { t.Errorf("") },
		func(t *testing.T) { t.Fatal() },
		func(t *testing.T) { t.Fatalf("") },
	}
	t.Run("$1", func(t *testing.T) {
		for number, fail := range ways {
			t.Run(strconv.Itoa(number), fail)
		}
		if alone {
			t.Run("alone", (*testing.T).Fail)
		}
	})
}
GO
}

# expected_tests: write the first line of the report, the tests that must pass, as read from the
# authors' files. A test may be skipped if a call of Skip stands in it; where one stands in a helper,
# all may. Files with a build constraint are left out, and so is text between backquotes.
expected_tests() {
    set -- ./*_test.go
    [ -e "$1" ] || return 0
    awk '
        BEGIN { printf "expected [" }
        function finish() {
            for (name in skips) {
                printf "%s[\"%s\", 1, %s, false]", (n++ ? "," : ""), name,
                    (skips[name] || lenient ? "true" : "false")
            }
            split("", skips); lenient = 0; current = ""; raw = 0; constrained = 0
        }
        FNR == 1 && NR > 1 { finish() }
        /^\/\/go:build/ { constrained = 1 }
        constrained { next }
        !raw && /^func / { current = "" }
        !raw && /^func (Test|Fuzz)([^a-z(][^ (]*)?\(/ {
            current = $2; sub(/\(.*/, "", current)
            if (current == "TestMain") current = ""; else skips[current] = 0
        }
        !raw && /\.Skip(f|Now)?\(/ { if (current == "") lenient = 1; else skips[current] = 1 }
        { raw = (raw + gsub(/`/, "")) % 2 }
        END { finish(); print "]" }
    ' "$@"
}

# refuse_blindfolds: exit with 3 if the code would keep the race detector from seeing it. C is not
# compiled without the detector either.
refuse_blindfolds() {
    for file in ./*.go; do
        case $file in *_test.go) continue ;; esac
        if grep -HnE '//go:norace|RaceDisable' "$file" >&2; then
            echo 'the code turns the race detector off' >&2
            exit 3
        fi
    done
    if grep -q '"C"' ./*.go && [ -n "$(go list -f '{{join .CgoFiles " "}}' .)" ]; then
        echo 'the code imports "C"' >&2
        exit 3
    fi
}

# build OUTPUT CANARY: compile the tests of the current folder with a canary of this name. Exits
# with 3 if the code does not compile.
build() {
    ! race || refuse_blindfolds
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

# by_line COMMAND: run a filter that passes on each line at once, so that the log of tests that are
# killed has all they wrote. Not every system has stdbuf.
by_line() {
    if command -v stdbuf >/dev/null; then set -- stdbuf -oL "$@"; fi
    LC_ALL=C exec "$@"
}

# run_tests BINARY SCRATCH: run the tests. Their events go to descriptor 3, their output to stderr;
# two pipes, so that neither waits for the reader of the other. Processes that the tests leave behind
# may hold their output open, so it ends at a line of its own. Under the race detector goroutines run
# at once, on however few cores. A row keeps the first lines of the log, which therefore names each
# test that begins, and says only of those that fail how they ended.
run_tests() {
    ! race || export GOMAXPROCS=4
    mkfifo "$2/output"
    end=llmbench-end-of-output-$$
    controls=$(printf '\016\017\026')
    by_line sed -E "s/[$controls]//g
        /TestLlmbenchCanary|^ +zz_llmbench_canary_test|^ *--- PASS: |^(=== NAME  |PASS|FAIL)\$/d" <"$2/output" 3>&- &
    report=$({
        "$1" -test.v=test2json -test.paniconexit0 2>&1 3>&- || true
        printf '%s\n' "$end" 3>&-
    } |
        by_line sed "/$end\$/{s///;q;}" 3>&- |
        tee "$2/output" 3>&- |
        "$here/test2json" -p solution 3>&- |
        grep -v '"Action":"output"')
    wait
    printf '%s\n' "$report" >&3

    # If all passed, the canary causes the only ten failures: one by each way to fail, that of being
    # alone, its own, its parent's and the total.
    printf '%s\n' "$report" | awk '
        /"Action":"fail"/ { failed++ }
        /"Action":"fail"/ && /"Test":"TestLlmbenchCanary\/[^"]*\/alone"/ { alone++ }
        END { exit !(failed == 10 && alone == 1) }'
}
