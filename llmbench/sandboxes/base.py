"""What the engine asks of a sandbox, and what every sandbox grants the code in it."""

from dataclasses import dataclass
from typing import Protocol

from llmbench.records import Submission, Verdict

OUTER_GRACE_SECONDS = 10.0
"""How long after the timeout inside the sandbox the one outside strikes."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Which sandbox is wanted: a kind, and how it is used.

    `warm` and `runtime` (the name of an OCI runtime) are for a container engine, on each worker of
    a cluster too; `scheduler` is the address of a Dask cluster's.
    """

    kind: str = "auto"
    warm: bool = False
    runtime: str | None = None
    scheduler: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """What a sandbox saw of one run of `run.sh`: evidence only, no judgement.

    `exit_code` is None when the sandbox had to kill it. `report` is what reached stdout, `log`
    what reached stderr, both bounded; `canary` is part of the name of a test that must stand in
    the report, failed. `seconds` and `cpu_seconds` are of the tests alone.
    """

    exit_code: int | None
    timed_out: bool
    out_of_memory: bool
    report: bytes
    log: str
    canary: str
    seconds: float
    cpu_seconds: float | None = None


class Sandbox(Protocol):
    """A place that runs a submission's tests, confined."""

    @property
    def name(self) -> str:
        """What rows call it."""
        ...

    async def run(self, submission: Submission) -> Verdict:
        """Place the files, run the tests, and say what was found; leave nothing behind.

        Raises:
            SandboxError: the sandbox failed, not the code in it.
        """
        ...

    async def versions(self) -> dict[str, str]:
        """What runs the tests, by part: the engine and its images, or programs of this machine.

        Raises:
            SandboxError: the engine does not tell.
        """
        ...

    async def aclose(self) -> None:
        """Remove what is left and close what was opened."""
        ...
