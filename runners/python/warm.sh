#!/bin/sh
# Runs one job after another from a process that has pytest loaded. The contract is in ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
exec python -P "$here/warm.py"
