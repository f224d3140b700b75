#!/bin/sh
# Exits with 1, and says so on stderr, if Go is too old for the tests.
minor=$(go version | sed -n 's/.* go1\.\([0-9]*\).*/\1/p')
if [ "${minor:-0}" -lt 25 ]; then
    echo "Go 1.25 or newer is needed, this is: $(go version)" >&2
    exit 1
fi
