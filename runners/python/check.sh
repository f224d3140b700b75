#!/bin/sh
# Exits with 1, and names the missing packages on stderr, if the tests would lack one. Packages that
# were installed without compiling them, as uv does, are compiled here: no test can do it for others.
python -P -W ignore - <<'END'
import compileall
import importlib
import importlib.util
import os
import sys

required = ["pytest", "pytest_asyncio", "fastapi", "httpx", "sqlalchemy", "pydantic"]
parts = ["_pytest", "fastapi.testclient", "sqlalchemy.orm"]

specs = {name: importlib.util.find_spec(name) for name in required}
missing = [name for name, spec in specs.items() if spec is None]
if missing:
    sys.exit(f"Python packages are missing: {', '.join(missing)}")
uncompiled = [spec for spec in specs.values() if not (spec.cached and os.path.exists(spec.cached))]
if any(os.access(os.path.dirname(spec.origin), os.W_OK) for spec in uncompiled):
    sys.dont_write_bytecode = False
    for name in required + parts:  # an import compiles what it imports in turn
        compileall.compile_dir(os.path.dirname(importlib.import_module(name).__file__), quiet=2)
END
