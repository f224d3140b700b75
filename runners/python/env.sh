# What run.sh and warm.sh have in common.
export HOME="$PWD/.run" TMPDIR="$PWD/.run/tmp" PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
# The order of a set must not decide whether an answer passes.
export PYTHONHASHSEED=0
# Finding installed plugins costs more than the tests; pytest.ini names the one that is wanted.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
