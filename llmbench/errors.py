"""The error tree: every error that llmbench reports to a person.

    LlmbenchError
    ├── UsageError                     exit 2: the request cannot be carried out as written
    │   ├── ProblemFileError           problem files have faults, each with file, line and field
    │   ├── RunnerFileError            a runner folder has a fault
    │   ├── OutputError                a result file cannot be written
    │   └── ResultFileError            a result file cannot be read, or results cannot be compared
    └── RunError                       exit 1: the request failed while it was carried out
        ├── ModelError
        │   ├── TransientError         worth another request (429, 5xx, broken stream)
        │   │   └── UnreachableError   no connection to the server
        │   ├── AttemptError           this attempt cannot be answered (context too long, filtered)
        │   ├── TargetError            this target cannot answer anything (key, quota, no model)
        │   └── CancelledBeforeSendError   the run ended before the request was sent
        └── SandboxError               the sandbox failed, not the code in it
            └── NoSandboxError         no sandbox of this kind works on this machine

A message is one line: it names the value at fault and ends with `hint`, the next thing to do.
"""

from collections.abc import Sequence


class LlmbenchError(Exception):
    """Base of all errors that are printed as one line, without a traceback.

    `hint` is the next thing to do or to type; it is the end of the message. Code that needs the
    two apart reads `message` and `hint`, never the text of the error.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}: {hint}" if hint else message)
        self.message = message
        self.hint = hint


class UsageError(LlmbenchError):
    """The request cannot be carried out as written."""

    exit_code = 2


class ProblemFileError(UsageError):
    """Problem files have faults; `faults` has one line for each."""

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
    """The request failed while it was carried out."""


class ModelError(RunError):
    """A model server gave no usable answer.

    The text begins with `source`, the target or server that failed; `reason` is the text without
    it. `requests` counts the requests sent for the answer; `cost_usd` is their cost as far as the
    server reported one, or None. `refusal` is the server's text without numbers, if another request
    may meet the same refusal; it is empty for faults of one prompt and for those that pass. `lasts`
    is True if nothing in it hints that the refusal may pass.
    """

    requests = 0
    cost_usd: float | None = None
    refusal = ""
    lasts = False

    def __init__(self, message: str, *, hint: str = "", source: str = "") -> None:
        super().__init__(message, hint=hint)
        self.source = source

    @property
    def reason(self) -> str:
        """The message and the hint, without the source."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}" if self.source else self.reason


class TransientError(ModelError):
    """A fault that another request may not meet.

    `retry_after` is the wait in seconds that the server requested, or None; `overload` is True if
    the server refused because of its rate limit or load, `loading` if it still loads the model.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        source: str = "",
        retry_after: float | None = None,
        overload: bool = False,
        loading: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, source=source)
        self.retry_after = retry_after
        self.overload = overload
        self.loading = loading


class UnreachableError(TransientError):
    """No connection to the server could be made."""


class AttemptError(ModelError):
    """A fault of this attempt alone: its prompt does not fit, or its answer was filtered."""


class TargetError(ModelError):
    """A fault that every further request to this target would meet: the target is stopped."""


class CancelledBeforeSendError(ModelError):
    """The attempt waited to send a request when the run stopped sending."""


class SandboxError(RunError):
    """The sandbox failed, not the code in it."""


class NoSandboxError(SandboxError):
    """No sandbox of this kind works on this machine."""
