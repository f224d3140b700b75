#!/bin/sh
# Runs the pytest tests of the current folder. The contract is in ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
exec python -P "$here/run.py"
