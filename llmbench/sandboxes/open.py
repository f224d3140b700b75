"""Opening of a sandbox of any kind."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pkgutil import resolve_name

from llmbench.errors import RunnerFileError, UsageError
from llmbench.runners import FILE, Runner
from llmbench.sandboxes.base import OpenRequest, Sandbox, SandboxSpec
from llmbench.sandboxes.kinds import check_spec
from llmbench.sandboxes.report_formats import REPORT_READERS

logger = logging.getLogger(__name__)


async def open_sandbox(
    spec: SandboxSpec,
    runners: Mapping[str, Runner],
    *,
    run_id: str,
    own_answers: bool,
    notify: Callable[[str], None],
    warn: Callable[[str], None] | None = None,
) -> Sandbox:
    """Open a sandbox that serves the languages of these runners.

    `own_answers` is True if every answer is a recorded one of llmbench, which may run unconfined.
    `notify` is called with each line about progress, and `warn` (default: the same) with each line
    that the user must read.

    Raises:
        UsageError: options of the spec exclude each other, one is missing, or an extra of llmbench
            is not installed.
        RunnerFileError: a runner names an unknown report format.
        NoSandboxError: no sandbox of this kind works here; says why, and what to do.
        SandboxError: the engine has no image of a language, and it cannot be built.
    """
    kind = check_spec(spec)
    _check_report_formats(runners)
    try:
        opener = resolve_name(kind.opener)
    except ModuleNotFoundError as error:
        if kind.extra is None or (error.name or "").startswith("llmbench"):
            raise
        raise UsageError(
            f"--sandbox {spec.kind} needs more packages",
            hint=f"pip install 'llmbench[{kind.extra}]'",
        ) from None
    request = OpenRequest(spec, runners, run_id, own_answers, notify, warn or notify)
    sandbox: Sandbox = await opener(request)
    logger.info("opened sandbox %s for %s", sandbox.name, ", ".join(runners))
    return sandbox


async def missing_parts(spec: SandboxSpec, runners: Mapping[str, Runner]) -> AsyncIterator[str]:
    """Yield a line for each part that opening this sandbox would build; nothing is opened.

    Raises:
        UsageError: options of the spec exclude each other, or one is missing.
    """
    kind = check_spec(spec)
    if kind.missing_parts is not None:
        async for line in resolve_name(kind.missing_parts)(runners):
            yield line


def _check_report_formats(runners: Mapping[str, Runner]) -> None:
    for runner in runners.values():
        name = runner.config.report
        if name not in REPORT_READERS:
            known = ", ".join(REPORT_READERS)
            raise RunnerFileError(f"{runner.folder / FILE}: report: {name!r} is not one of {known}")
