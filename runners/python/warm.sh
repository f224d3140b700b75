#!/bin/sh
# Serves one job after another from a process that has everything loaded. The contract is in ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
exec python -P "$here/warm.py"
