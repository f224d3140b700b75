# The environment of run.sh and warm.sh.
export HOME="$PWD/.run" TMPDIR="$PWD/.run/tmp" PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
# The order of a set must not decide whether an answer passes.
export PYTHONHASHSEED=0
# Plugin discovery takes longer than the tests; pytest.ini names the one plugin that is needed.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
