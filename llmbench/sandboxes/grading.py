"""What all sandboxes share: run, once more after a fault of the sandbox, and judge."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from llmbench.errors import SandboxError
from llmbench.records import Submission, Verdict
from llmbench.runners import Runner
from llmbench.sandboxes.base import Execution
from llmbench.sandboxes.verdict import judge

TRIES = 2
"""A fault of the sandbox is met with one more try, on a fresh one."""


class BaseSandbox(ABC):
    """A sandbox that says how to execute a submission, and leaves the rest to this class."""

    name: str

    def __init__(self, runners: Mapping[str, Runner]) -> None:
        """Serve the languages of these runners."""
        self.runners = runners

    async def run(self, submission: Submission) -> Verdict:
        """Place the files, run the tests, and say what was found; leave nothing behind.

        Raises:
            SandboxError: the sandbox failed, not the code in it, and did so again.
        """
        runner = self.runners[submission.lang]
        for left in reversed(range(TRIES)):
            try:
                execution = await self.execute(submission, runner)
            except SandboxError:
                if not left or not await self.recovered():
                    raise
            else:
                break
        return judge(execution, runner.config.report)

    @abstractmethod
    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once in a fresh sandbox, which is gone when this returns, raises or is cancelled.

        Raises:
            SandboxError: the sandbox failed, not the code in it.
        """

    async def recovered(self) -> bool:
        """True when another try makes sense after a fault; waits for that, in bounded time."""
        return True

    @abstractmethod
    async def aclose(self) -> None:
        """Remove what is left and close what was opened."""
