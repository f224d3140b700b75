#!/bin/sh
# Runs the pytest tests of the current folder. The contract is in ../README.md.
set -eu
here=${0%/*}
. "$here/env.sh"
exec python -P "$here/run.py"
