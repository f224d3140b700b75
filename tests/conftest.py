"""What all tests share."""

import hypothesis
import pytest

# A busy machine is slow: speed is for benchmarks to measure, and no example fails for it.
hypothesis.settings.register_profile(
    "llmbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("llmbench")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
