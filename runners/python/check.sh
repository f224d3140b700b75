#!/bin/sh
# Says what the tests would miss here.
python -P - <<'END'
import importlib.util
import sys

wanted = ["pytest", "pytest_asyncio", "fastapi", "httpx", "sqlalchemy", "pydantic"]
missing = [name for name in wanted if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"Python packages are missing: {', '.join(missing)}")
END
