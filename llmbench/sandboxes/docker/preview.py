"""Parts of the engine that a run would build."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.docker.images import ImageState, connected, inspect


async def missing_parts(runners: Mapping[str, Runner]) -> AsyncIterator[str]:
    """Yield a line for each image that a run would build; none where no engine answers."""
    with suppress(NoSandboxError, SandboxError):
        async with connected() as connection:
            for runner in runners.values():
                if (await inspect(connection.docker, runner)).state is ImageState.MISSING:
                    yield f"would be built: image {runner.config.image}"
