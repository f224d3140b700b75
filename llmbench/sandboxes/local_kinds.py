"""Openers of the sandboxes on this machine: an engine, bubblewrap, or the best there is."""

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.sandboxes.base import OpenRequest, Sandbox
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.process import ProcessSandbox


async def open_docker(request: OpenRequest) -> Sandbox:
    """Open a sandbox of Docker, or of Podman's socket.

    Raises:
        NoSandboxError: no engine answers, or it lacks the runtime.
        SandboxError: the engine lacks an image; says how to build it.
    """
    spec = request.spec
    docker = WarmDockerSandbox if spec.reuse_containers else DockerSandbox
    return await docker.open(request.runners, request.run_id, spec.runtime)


async def open_bubblewrap(request: OpenRequest) -> Sandbox:
    """Open a sandbox of bubblewrap.

    Raises:
        NoSandboxError: bubblewrap does not work here, or a toolchain is missing.
    """
    return await BubblewrapSandbox.open(request.runners, request.notify)


async def open_auto(request: OpenRequest) -> Sandbox:
    """Open Docker if an engine answers, else bubblewrap.

    An engine that lacks an image is an error, not a reason for another sandbox. Options of an
    engine rule out bubblewrap. For recorded answers of llmbench a missing image is a reason for
    bubblewrap, and a missing bubblewrap for a plain process. `notify` reports each fallback.

    Raises:
        NoSandboxError: neither works; says why, and what to do.
        SandboxError: the engine lacks an image; says how to build it.
    """
    try:
        return await open_docker(request)
    except SandboxError as error:
        no_fallback = request.spec.reuse_containers or request.spec.runtime is not None
        no_engine = isinstance(error, NoSandboxError)
        if no_fallback or not (no_engine or request.own_answers):
            raise
        return await _open_without_engine(request, error)


async def _open_without_engine(request: OpenRequest, no_docker: SandboxError) -> Sandbox:
    try:
        sandbox = await open_bubblewrap(request)
    except NoSandboxError as no_bubblewrap:
        if not request.own_answers:
            raise NoSandboxError(
                f"generated code is never run unconfined: {no_docker}; {no_bubblewrap}"
            ) from None
        request.notify(f"recorded answers run as plain processes: {no_docker}; {no_bubblewrap}")
    else:
        request.notify(f"tests run under bubblewrap: {no_docker}")
        return sandbox
    return await ProcessSandbox.open(request.runners, request.notify)
