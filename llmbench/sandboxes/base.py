"""The interface of a sandbox, and the base class of those on this machine."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from llmbench.errors import SandboxError
from llmbench.sandboxes.verdict import judge

if TYPE_CHECKING:  # the flags read SandboxSpec: runners would load pydantic for `--help`
    from collections.abc import Callable

    from llmbench.records import Submission, Verdict
    from llmbench.runners import Runner
    from llmbench.sandboxes.verdict import Execution

logger = logging.getLogger(__name__)

OUTER_GRACE_SECONDS = 10.0
"""Delay of the timeout outside the sandbox after the one inside it."""

CRASHED = "[the program that runs the tests was broken while the answer ran, in two sandboxes]"

FIRST_SIGNAL = 128
"""Exit codes from here up mean that a signal ended a process: the sum of both."""

CRASHES = frozenset({4, 5, 6, 7, 8, 11, 31})
"""Linux's numbers of SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV and SIGSYS."""

Unusable = Mapping[tuple[str, str], tuple[str, str]]
"""Options, by language and name, whose values other than the default cannot be judged in a sandbox,
each with the reason and the next thing to do."""

TRIES = 2
"""Times that a submission is run if the sandbox fails, each in a fresh one."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A kind of sandbox and its options; `kinds.SANDBOX_KINDS` lists which kind takes which.

    `reuse_containers` runs many submissions in one container. `runtime` names an OCI runtime of
    the engine. `scheduler` is the address of a Dask scheduler. `no_build` refuses to build images
    that the engine lacks.
    """

    kind: str = "auto"
    reuse_containers: bool = False
    runtime: str | None = None
    scheduler: str | None = None
    no_build: bool = False


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """The arguments of the function that opens a kind of sandbox.

    `own_answers` is True if every answer is a recorded one of llmbench, which may run unconfined.
    `notify` is called with each line about progress, `warn` with each line that the user must read.
    """

    spec: SandboxSpec
    runners: Mapping[str, Runner]
    run_id: str
    own_answers: bool
    notify: Callable[[str], None]
    warn: Callable[[str], None]


class Sandbox(Protocol):
    """A confined place that runs the tests of submissions."""

    @property
    def name(self) -> str:
        """The name in result rows."""
        ...

    async def run(self, submission: Submission) -> Verdict:
        """Place the files, run the tests, leave nothing behind, and return the verdict.

        Raises:
            SandboxError: the sandbox failed, not the code in it.
        """
        ...

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        """Check that submissions of a language with these options can be judged here.

        Raises:
            SandboxError: a part that judges them is missing; says what to do.
        """
        ...

    async def versions(self) -> dict[str, str]:
        """Return the version of each part: an engine and its images, or programs.

        Raises:
            SandboxError: the engine did not report them.
        """
        ...

    async def aclose(self) -> None:
        """Remove everything of this run, and close connections."""
        ...


class CrashError(SandboxError):
    """The launcher crashed while the tests ran, by no kill from outside; has their evidence.

    A first crash may be a fault of the machine. With a second one of the same answer, it is that of
    the answer.
    """

    def __init__(self, message: str, execution: Execution) -> None:
        super().__init__(message)
        self.execution = execution


def check_usable(runner: Runner, options: Mapping[str, str], unusable: Unusable) -> None:
    """Check that none of these options has a value that cannot be judged.

    Raises:
        SandboxError: one has; says why, and what to do.
    """
    for name, value in runner.changed_options(options).items():
        if (runner.lang, name) in unusable:
            reason, hint = unusable[runner.lang, name]
            raise SandboxError(f"{name}: {value} cannot be judged here: {reason}", hint=hint)


def is_crash(exit_code: int | None) -> bool:
    """Return True if this exit code means that a process broke, and was not killed."""
    return exit_code is not None and exit_code - FIRST_SIGNAL in CRASHES


class BaseSandbox(ABC):
    """A sandbox that judges the executions of a subclass, and runs again if the sandbox fails."""

    name: str

    def __init__(self, runners: Mapping[str, Runner], unusable: Unusable | None = None) -> None:
        """Serve the languages of these runners."""
        self.runners = runners
        self.unusable = unusable or {}

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        """Check that submissions of a language with these options can be judged here.

        Raises:
            SandboxError: a part that judges them is missing; says what to do.
        """
        check_usable(self.runners[lang], options, self.unusable)

    async def run(self, submission: Submission) -> Verdict:
        """Place the files, run the tests, leave nothing behind, and return the verdict.

        Raises:
            SandboxError: the sandbox failed `TRIES` times, not the code in it, or it cannot judge
                these options.
        """
        self.check_options(submission.lang, submission.options)
        runner = self.runners[submission.lang].for_options(submission.options)
        crashed = False
        for remaining in reversed(range(TRIES)):
            try:
                return await self._run_once(submission, runner)
            except CrashError as error:
                # Nothing but the answer's code was there both times.
                if crashed:
                    log = f"{CRASHED}\n{error.execution.log}"
                    return judge(replace(error.execution, log=log), runner.config.report)
                if not remaining or not await self.can_retry():
                    raise
                crashed = True
            except SandboxError as error:
                if not remaining or not await self.can_retry():
                    raise
                logger.info("running %s again: %s", submission.key.problem_id, error)
        raise AssertionError("the last try returns or raises")

    async def _run_once(self, submission: Submission, runner: Runner) -> Verdict:
        try:
            return judge(await self.execute(submission, runner), runner.config.report)
        except (ValueError, LookupError, ArithmeticError, AssertionError) as error:
            # What comes out of a sandbox is hostile: a surprise in it ends this attempt alone.
            logger.exception("unreadable output of %s", submission.key.problem_id)
            name = type(error).__name__
            raise SandboxError(f"the output of the sandbox cannot be read: {name}") from error

    @abstractmethod
    async def versions(self) -> dict[str, str]:
        """Return the version of each part: an engine and its images, or programs."""

    @abstractmethod
    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once in a fresh sandbox, which is gone when this returns, raises or is cancelled.

        Raises:
            SandboxError: the sandbox failed, not the code in it.
        """

    async def can_retry(self) -> bool:
        """Wait, in bounded time, until the sandbox works again; False if it does not."""
        return True

    @abstractmethod
    async def aclose(self) -> None:
        """Remove everything of this run, and close connections."""
