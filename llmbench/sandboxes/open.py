"""Which sandbox a run gets: the one asked for, or the best there is; never a weaker one unsaid."""

from collections.abc import Callable, Mapping

from llmbench.errors import NoSandboxError, SandboxError, UsageError
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox, SandboxSpec


async def open_sandbox(
    choice: SandboxSpec,
    runners: Mapping[str, Runner],
    *,
    run_id: str,
    own_answers: bool,
    notify: Callable[[str], None],
) -> Sandbox:
    """Open the sandbox of this choice for these languages.

    `auto` is Docker, or Podman, where an engine answers; an image that is missing there is an
    error and no reason for another sandbox. Without an engine it is bubblewrap. Where every
    answer is a recorded one of our own (`own_answers`), a missing image is a reason to go on
    to bubblewrap, and a missing bubblewrap to a plain process. `notify` hears of each step down.
    Who asks for anything special of an engine gets it or nothing.

    Raises:
        UsageError: parts of the choice exclude each other, or one is missing.
        NoSandboxError: nothing of this kind works here; says why, and what to do.
        SandboxError: the engine answers but has not the images; says how to build them.
    """
    # Imported when wanted: `--help` must not wait for an HTTP stack.
    from llmbench.sandboxes.docker.container import DockerSandbox
    from llmbench.sandboxes.docker.warm import WarmDockerSandbox
    from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox

    _check(choice)
    if choice.kind == "dask":
        return await _on_cluster(choice, runners, run_id, notify)
    if choice.kind == "docker" or choice.warm or choice.runtime is not None:
        docker = WarmDockerSandbox if choice.warm else DockerSandbox
        return await docker.open(runners, run_id, choice.runtime)
    if choice.kind == "bubblewrap":
        return await BubblewrapSandbox.open(runners, notify)
    try:
        return await DockerSandbox.open(runners, run_id)
    except SandboxError as error:
        if not isinstance(error, NoSandboxError) and not own_answers:
            raise
        return await _without_engine(runners, str(error), own_answers, notify)


def _check(choice: SandboxSpec) -> None:
    if choice.kind == "bubblewrap" and (choice.warm or choice.runtime is not None):
        raise UsageError(
            "--warm and --docker-runtime need an engine: leave out --sandbox bubblewrap"
        )
    if choice.kind == "dask" and choice.scheduler is None:
        raise UsageError("--sandbox dask needs --dask ADDRESS, for example tcp://scheduler:8786")
    if choice.kind != "dask" and choice.scheduler is not None:
        raise UsageError("--dask is the cluster of --sandbox dask: give both, or neither")


async def _on_cluster(
    choice: SandboxSpec,
    runners: Mapping[str, Runner],
    run_id: str,
    notify: Callable[[str], None],
) -> Sandbox:
    try:
        from llmbench.sandboxes.dask.sandbox import DaskSandbox
    except ModuleNotFoundError as error:
        if error.name not in ("dask", "distributed"):
            raise
        raise UsageError("--sandbox dask needs: pip install 'llmbench[dask]'") from None
    return await DaskSandbox.open(choice, runners, run_id, notify)


async def _without_engine(
    runners: Mapping[str, Runner], no_docker: str, own_answers: bool, notify: Callable[[str], None]
) -> Sandbox:
    """What `auto` is where there is no Docker, as `no_docker` says."""
    from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
    from llmbench.sandboxes.local.process import ProcessSandbox

    try:
        confined = await BubblewrapSandbox.open(runners, notify)
    except NoSandboxError as error:
        no_bubblewrap = str(error)
    else:
        notify(f"tests run under bubblewrap: {no_docker}")
        return confined
    if not own_answers:
        raise NoSandboxError(
            f"generated code is never run unconfined: {no_docker}; {no_bubblewrap}"
        )
    notify(f"recorded answers run as plain processes: {no_docker}; {no_bubblewrap}")
    return await ProcessSandbox.open(runners, notify)
