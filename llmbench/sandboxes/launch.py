"""The launcher of tests inside a sandbox: its script, its input, and its output.

Every sandbox runs `LAUNCHER` in the empty work folder, sends it `Launch.stdin`, and passes its
output to a `Capture`. So all sandboxes place files and measure time in the same way.
"""

import io
import math
import re
import secrets
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from llmbench.errors import SandboxError
from llmbench.problems import is_inside
from llmbench.records import Submission
from llmbench.runners import ResourceLimits
from llmbench.sandboxes.verdict import Execution

WORK = "/work"
"""Work folder inside a sandbox, empty at first: the current folder of `run.sh`."""

HOME = "/opt/runner"
"""The runner's folder inside a sandbox, read-only."""

KILLED = 128 + 9
BACKSTOP = 1.25
CLOCK_STEP = 0.03
"""Seconds by which /proc/uptime may be below a wall limit that was reached."""

MARKS_AT_END = 3
"""Lines with the mark on stderr of a warm sandbox: before the tests, after them, at the end."""

CGROUP = "/sys/fs/cgroup"
"""The path of a container's own cgroup in it."""

# Arguments: size of the archive, wall limit in seconds, processor limit in whole seconds, path of
# run.sh, cgroup or nothing.
# The mark comes on stdin and is in no argument or variable of a process, so tests cannot know it.
# The script prints it before and after the tests, with the uptime of the machine and the processor
# time of the cgroup. So the start of the sandbox is not counted. The last line has the number of
# processes killed for memory, which some engines do not report. run.sh reads the canary's name.
# The processor limit is that of each process; for their sum, see `Capture.execution`.
# After the tests only builtins of the shell run: processes of the tests may use up the limit.
LAUNCHER = """
read -r mark && read -r canary && head -c "$1" | tar -xof - || exit 125
clock() {
    read -r up _ </proc/uptime
    cpu=
    for file in ${1:+"$1/cpu.stat" "$1/cpuacct/cpuacct.usage"}; do
        if [ -r "$file" ]; then read -r cpu <"$file"; break; fi
    done
    printf '%s %s %s\\n' "$mark" "$up" "$cpu" >&2
}
clock "$5"
printf '%s\\n' "$canary" | (ulimit -t "$3" && exec timeout -s KILL "$2" sh "$4")
code=$?
echo >&2
clock "$5"
for file in ${5:+"$5/memory.events" "$5/memory/memory.oom_control"}; do
    [ -r "$file" ] || continue
    while read -r name number; do
        if [ "$name" = oom_kill ]; then printf '%s oom_kill %s\\n' "$mark" "$number" >&2; fi
    done <"$file"
done
exit $code
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of the launcher: its arguments and its input."""

    submission: Submission
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    canary: str = field(default_factory=lambda: f"canary_{secrets.token_hex(16)}")

    @property
    def cpu_backstop(self) -> int:
        """Processor seconds at which the kernel kills a process, above the real limit.

        The kernel counts clock ticks for this limit, which was some percent off on a busy machine.
        With the margin, a killed process has used more than the real limit by the exact count too.
        """
        return math.ceil(self.submission.cpu_seconds * BACKSTOP)

    def argv(self, archive: bytes, home: str = HOME, cgroup: str = "") -> list[str]:
        """Return the command to run inside the sandbox.

        `home` is the folder of run.sh there, `cgroup` the sandbox's own cgroup or empty.
        """
        wall, cpu = f"{self.submission.timeout:.3f}", str(self.cpu_backstop)
        script = f"{home}/run.sh"
        return ["sh", "-c", LAUNCHER, "sh", str(len(archive)), wall, cpu, script, cgroup]

    def stdin(self, archive: bytes) -> bytes:
        """Return the input of the launcher: the mark, the canary's name, the archive."""
        return f"{self.mark}\n{self.canary}\n".encode() + archive


def pack(files: Mapping[str, str]) -> bytes:
    """Return the files as a tar archive: the same bytes for the same files.

    Raises:
        SandboxError: a path is absolute or climbs out of the work folder.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files):
            if not is_inside(path):
                raise SandboxError(f"{path!r} is not a path inside the work folder")
            # JSON may contain a lone surrogate, which no file system or compiler accepts.
            data = files[path].encode("utf-8", "replace")
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


SLACK = 2**16
"""Bytes by which a tail may exceed its limit before it is trimmed."""


class HeadTailBuffer:
    """The first and the last bytes of a stream, `limit` in all."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes."""
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._fed = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        self._fed += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:][-self._half :]
        if len(self._tail) > self._half + SLACK:
            del self._tail[: -self._half]

    @property
    def dropped(self) -> int:
        """Number of bytes that were fed and dropped."""
        return max(0, self._fed - 2 * self._half)

    def contents(self) -> bytes:
        """Return the first and the last bytes, with a note of the number missing between them."""
        note = f"\n[{self.dropped} bytes left out]\n".encode() if self.dropped else b""
        return bytes(self._head) + note + bytes(self._tail[-self._half :])


class WarmResult(NamedTuple):
    """The end of a test run in a warm sandbox.

    `oom_kills` counts processes killed for memory in the whole life of the sandbox. `clean` is
    True if nothing of the run remains there.
    """

    exit_code: int
    oom_kills: int
    clean: bool


class Capture:
    """The output of one launch, bounded in size, and the execution that it shows."""

    def __init__(self, launch: Launch, limits: ResourceLimits) -> None:
        """Collect the output of this launch."""
        self._mark = launch.mark.encode()
        self._canary = launch.canary
        self._timeout = launch.submission.timeout
        self._cpu_limit = launch.submission.cpu_seconds
        self._log = HeadTailBuffer(limits.log_kb * 1024)
        self._report = HeadTailBuffer(limits.report_kb * 1024)
        self._marks = {"stdout": 0, "stderr": 0}
        self._ends = {"stdout": b"", "stderr": b""}
        self._started: float | None = None

    @property
    def started(self) -> bool:
        """True once the files are in place and the tests have begun."""
        return self._started is not None

    @property
    def ended(self) -> bool:
        """True once the tests have ended by the launcher's report."""
        return self._marks["stderr"] > 1

    @property
    def finished(self) -> bool:
        """True once a warm sandbox has printed its last line on both streams."""
        return self._marks["stderr"] == MARKS_AT_END and self._marks["stdout"] == 1

    def stdout(self, data: bytes) -> None:
        """Add bytes of the report."""
        self._report.feed(data)
        self._count("stdout", data)

    def stderr(self, data: bytes) -> None:
        """Add bytes of the log."""
        self._log.feed(data)
        self._count("stderr", data)
        if self._started is None and self._marks["stderr"]:
            self._started = time.monotonic()

    def _count(self, stream: str, data: bytes) -> None:
        window = self._ends[stream] + data
        self._marks[stream] += window.count(self._mark)
        # Shorter than a mark, so that none is counted twice.
        self._ends[stream] = window[1 - len(self._mark) :]

    def _complete_report(self) -> bytes:
        report, mark, _ = self._report.contents().partition(self._mark)
        return report.removesuffix(b"\n") if mark else report

    def _killed_for_memory(self) -> bool:
        """True if the launcher reports that the kernel killed a process of the tests for memory."""
        line = re.search(rb"^%s oom_kill [1-9]" % self._mark, self._log.contents(), re.MULTILINE)
        return line is not None

    def warm_result(self) -> WarmResult:
        """Return the last line of a warm sandbox that has `finished`, parsed."""
        code, oom_kills, state = self._log.contents().split(b"\n")[-2].split()[2:]
        return WarmResult(int(code), int(oom_kills), state == b"clean")

    def execution(
        self,
        exit_code: int | None,
        *,
        timed_out: bool = False,
        out_of_memory: bool = False,
        cpu_seconds: float | None = None,
    ) -> Execution:
        """Return the evidence; `exit_code` is None if the sandbox killed the tests.

        `timed_out` is True if it did so after the outer timeout. `cpu_seconds` is used if the
        launcher could not read a cgroup. The tests have also timed out if all their processes
        together used up the processor time.

        Raises:
            SandboxError: the tests never began.
        """
        if self._started is None:
            output = self._log.contents().decode(errors="replace").strip()[-300:] or "none"
            raise SandboxError(f"the sandbox ended before the tests began; its output: {output}")
        seconds = time.monotonic() - self._started
        log = self._log.contents()
        lines = list(re.finditer(rb"^%s ([0-9].*)\n?" % self._mark, log, re.MULTILINE))
        if len(lines) > 1:
            (start, cpu_start), (end, cpu_end) = _clock(lines[0][1]), _clock(lines[-1][1])
            seconds = end - start
            if cpu_start is not None and cpu_end is not None:
                cpu_seconds = cpu_end - cpu_start
            log = log[: lines[-1].start()].removesuffix(b"\n")
        if cpu_seconds is not None and cpu_seconds >= self._cpu_limit:
            timed_out = True
        if exit_code == KILLED and seconds >= self._timeout - CLOCK_STEP:
            timed_out = True
        return Execution(
            exit_code=None if timed_out else exit_code,
            timed_out=timed_out,
            out_of_memory=out_of_memory or (exit_code != 0 and self._killed_for_memory()),
            # A report with a gap may lack the failures.
            report=b"" if self._report.dropped else self._complete_report(),
            canary=self._canary,
            log=log[lines[0].end() :].decode("utf-8", "replace"),
            seconds=seconds,
            cpu_seconds=cpu_seconds,
        )


def _clock(line: bytes) -> tuple[float, float | None]:
    """Uptime and processor seconds of a line of the launcher.

    Version 1 of cgroups gives nanoseconds, version 2 `usage_usec` and microseconds. Both may be
    missing.
    """
    up, *cpu = line.split()
    if not cpu:
        return float(up), None
    return float(up), int(cpu[-1]) / (1e6 if cpu[0] == b"usage_usec" else 1e9)
