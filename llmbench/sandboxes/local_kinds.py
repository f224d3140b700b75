"""Openers of the sandboxes on this machine: an engine, bubblewrap, or the best there is."""

from dataclasses import replace

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.sandboxes.base import BaseSandbox, OpenRequest
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.images import Builds
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.process import ProcessSandbox


async def open_docker(request: OpenRequest) -> BaseSandbox:
    """Open a sandbox of Docker, or of Podman's socket; builds missing images if it may.

    Raises:
        NoSandboxError: no engine answers, or it lacks the runtime.
        SandboxError: the engine lacks an image, and it cannot be built.
    """
    spec = request.spec
    docker = WarmDockerSandbox if spec.reuse_containers else DockerSandbox
    builds = Builds(not spec.no_build, request.notify, request.warn)
    return await docker.open(request.runners, request.run_id, spec.runtime, builds)


async def open_bubblewrap(request: OpenRequest) -> BaseSandbox:
    """Open a sandbox of bubblewrap.

    Raises:
        NoSandboxError: bubblewrap does not work here, or a toolchain is missing.
    """
    return await BubblewrapSandbox.open(request.runners, request.notify)


async def open_auto(request: OpenRequest) -> BaseSandbox:
    """Open Docker if an engine answers, else bubblewrap.

    An engine that lacks an image is an error, not a reason for another sandbox. Options of an
    engine rule out bubblewrap. For recorded answers of llmbench a missing image is a reason for
    bubblewrap, and a missing bubblewrap for a plain process; only then images are built. `warn`
    reports each fallback.

    Raises:
        NoSandboxError: neither works; says why, and what to do.
        SandboxError: the engine lacks an image, and it cannot be built.
    """
    spec = request.spec
    engine_only = spec.reuse_containers or spec.runtime is not None
    hurried = request.own_answers and not engine_only
    first = replace(request, spec=replace(spec, no_build=True)) if hurried else request
    try:
        return await open_docker(first)
    except SandboxError as error:
        no_engine = isinstance(error, NoSandboxError)
        if engine_only or not (no_engine or request.own_answers):
            raise
        try:
            return await _open_without_engine(request, error)
        except NoSandboxError:
            if no_engine or spec.no_build:
                raise
    return await open_docker(request)


async def _open_without_engine(request: OpenRequest, no_docker: SandboxError) -> BaseSandbox:
    try:
        sandbox = await open_bubblewrap(request)
    except NoSandboxError as no_bubblewrap:
        if not request.own_answers:
            raise NoSandboxError(
                f"generated code is never run unconfined: {no_docker}; {no_bubblewrap}"
            ) from None
        process = await ProcessSandbox.open(request.runners, request.notify)
        request.warn(f"recorded answers run as plain processes: {no_docker}; {no_bubblewrap}")
        return process
    request.warn(f"tests run under bubblewrap: {no_docker}")
    return sandbox
