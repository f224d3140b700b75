#!/bin/sh
# Exits with 1, and names the missing packages on stderr, if the tests would lack one.
python -P - <<'END'
import importlib.util
import sys

required = ["pytest", "pytest_asyncio", "fastapi", "httpx", "sqlalchemy", "pydantic"]
missing = [name for name in required if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"Python packages are missing: {', '.join(missing)}")
END
