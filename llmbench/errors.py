"""The error tree: every fault that llmbench reports to a person.

    LlmbenchError
    ├── UsageError                exit 2: what was asked cannot be done as written
    │   ├── ProblemFileError      one or many faults in problem files, each with file, line, field
    │   ├── RunnerFileError       a fault in a runner folder
    │   ├── OutputError           a result file cannot be written
    │   └── ResultFileError       a result file cannot be read, or not be compared
    └── RunError                  exit 1: what was asked failed while being done
        ├── ModelError
        │   ├── TransientError    worth another try (connection, 429, 5xx, cut stream)
        │   ├── AttemptError      this attempt cannot be answered (context too long, filtered)
        │   ├── TargetError       nothing more can be had of this target (auth, quota, no model)
        │   └── NotAskedError     the run was ended before it was asked, or asked again
        └── SandboxError          the sandbox, not the code in it, failed
            └── NoSandboxError    no sandbox of the asked kind works on this machine

A message is one line: it names the offending value and says what to do next.
"""

from collections.abc import Sequence


class LlmbenchError(Exception):
    """Base of all faults that are shown as one line, without a traceback."""

    exit_code = 1


class UsageError(LlmbenchError):
    """What was asked cannot be done as written."""

    exit_code = 2


class ProblemFileError(UsageError):
    """Problem files have faults; all of them are in `faults`, one line each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class RunnerFileError(UsageError):
    """A runner folder is incomplete or wrong."""


class OutputError(UsageError):
    """A result file or the work folder cannot be written."""


class ResultFileError(UsageError):
    """A result file cannot be read, or results cannot be compared."""


class RunError(LlmbenchError):
    """What was asked failed while being done."""


class ModelError(RunError):
    """A model server could not give a usable answer.

    `requests` counts the requests that were made for it; `cost_usd` is what they cost as far as
    the server told, or None.
    """

    requests = 0
    cost_usd: float | None = None


class TransientError(ModelError):
    """A fault that another try may not meet again.

    `retry_after` is the wait in seconds that the server asked for, or None; `overload` says that
    the server refused for its rate or load.
    """

    overload = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AttemptError(ModelError):
    """A fault of this one attempt: its prompt does not fit, or its answer was withheld."""


class TargetError(ModelError):
    """A fault that every further request to this target would meet: it is stopped at once."""


class CancelledBeforeSendError(ModelError):
    """An attempt that waited to be asked, or asked again, when nothing more was to be asked."""


class SandboxError(RunError):
    """The sandbox failed, not the code in it."""


class NoSandboxError(SandboxError):
    """No sandbox of the asked kind works on this machine."""
