"""The launcher of tests inside a sandbox: its script, its input, and its output.

Every sandbox runs `LAUNCHER` in the empty work folder, sends it `Launch.stdin`, and passes its
output to a `Capture`. So all sandboxes place files and measure time in the same way.
"""

import io
import math
import secrets
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from llmbench.errors import SandboxError
from llmbench.problems import is_inside
from llmbench.records import Submission
from llmbench.runners import ResourceLimits
from llmbench.sandboxes.frames import (
    Ended,
    Frame,
    FrameReader,
    OomKills,
    ReportEnd,
    Started,
    WarmResult,
)
from llmbench.sandboxes.verdict import Execution

WORK = "/work"
"""Work folder inside a sandbox, empty at first: the current folder of `run.sh`."""

HOME = "/opt/runner"
"""The runner's folder inside a sandbox, read-only."""

KILLED = 128 + 9
BACKSTOP = 1.25
CLOCK_STEP = 0.03
"""Seconds by which /proc/uptime may be below a wall limit that was reached."""

CGROUP = "/sys/fs/cgroup"
"""The path of a container's own cgroup in it."""

# Arguments: size of the archive, wall limit in seconds, processor limit in whole seconds, path of
# run.sh, cgroup or nothing, user id of the tests or nothing.
# The marks come on stdin and are in no argument or variable of a process, so tests cannot know
# them. The script writes a frame (see `frames`) before and after the tests, with the uptime of the
# machine and the processor time of the cgroup. So the start of the sandbox is not counted. The last
# frame has the number of processes killed for memory, which some engines do not report. run.sh
# reads the canary's name.
# With a user id the script runs as root without the tests being able to reach it, and so does their
# guard. They get an opening of the log's pipe of their own, so that no flag they set on it counts
# here; its mode lets them open it once more, as /dev/stderr.
# The processor limit is that of each process; for their sum, see `Capture.execution`.
# After the tests only builtins of the shell run: processes of the tests may use up the limit. As
# process 1 it kills them all, so that nothing of them comes between or behind the last frames.
LAUNCHER = """
as_user=${6:+setpriv --reuid $6 --regid $6 --clear-groups --inh-caps=-all}
log=/proc/self/fd/2
[ -z "$6" ] || chmod 622 "$log" || :
command : 9>>"$log" || log=/dev/null
read -r first mark canary && head -c "$1" | $as_user tar -xof - || exit 125
clock() {
    read -r up _ </proc/uptime
    cpu=
    for file in ${3:+"$3/cpu.stat" "$3/cpuacct/cpuacct.usage"}; do
        if [ -r "$file" ]; then read -r cpu <"$file"; break; fi
    done
    printf '%s %s %s %s\\n' "$1" "$2" "$up" "$cpu" >&2
}
clock "$first" start "$5"
printf '%s\\n' "$canary" | (
    [ "$log" = /dev/null ] || exec 2>>"$log"
    [ -z "$6" ] || { echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null || :
    ulimit -t "$3" && exec timeout -s KILL "$2" $as_user sh "$4"
)
code=$?
[ $$ != 1 ] || kill -s KILL -- -1 2>/dev/null || :
clock "$mark" end "$5"
for file in ${5:+"$5/memory.events" "$5/memory/memory.oom_control"}; do
    [ -r "$file" ] || continue
    while read -r name number; do
        if [ "$name" = oom_kill ]; then printf '%s oom %s\\n' "$mark" "$number" >&2; fi
    done <"$file"
done
exit $code
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of the launcher: its arguments and its input.

    The first of its frames begins with `first_mark`, all others with `mark`.
    """

    submission: Submission
    first_mark: str = field(default_factory=lambda: secrets.token_hex(16))
    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    canary: str = field(default_factory=lambda: f"canary_{secrets.token_hex(16)}")

    @property
    def cpu_backstop(self) -> int:
        """Processor seconds at which the kernel kills a process, above the real limit.

        The kernel counts clock ticks for this limit, which was some percent off on a busy machine.
        With the margin, a killed process has used more than the real limit by the exact count too.
        """
        return math.ceil(self.submission.cpu_seconds * BACKSTOP)

    def argv(
        self, archive: bytes, home: str = HOME, cgroup: str = "", uid: int | None = None
    ) -> list[str]:
        """Return the command to run inside the sandbox.

        `home` is the folder of run.sh there, `cgroup` the sandbox's own cgroup or empty. The tests
        run as the user `uid` if the command is run by root.
        """
        wall, cpu = f"{self.submission.timeout:.3f}", str(self.cpu_backstop)
        user = "" if uid is None else str(uid)
        size, script = str(len(archive)), f"{home}/run.sh"
        return ["sh", "-c", LAUNCHER, "sh", size, wall, cpu, script, cgroup, user]

    def stdin(self, archive: bytes) -> bytes:
        """Return the input of the launcher: the marks, the canary's name, the archive."""
        return f"{self.first_mark} {self.mark} {self.canary}\n".encode() + archive


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


class Capture:
    """The output of one launch, bounded in size, and the execution that it shows.

    Its bytes are hostile: whatever they are, the only error is `SandboxError`.
    """

    def __init__(self, launch: Launch, limits: ResourceLimits) -> None:
        """Collect the output of this launch."""
        self._canary = launch.canary
        self._timeout = launch.submission.timeout
        self._cpu_limit = launch.submission.cpu_seconds
        self._limits = limits
        self._log = HeadTailBuffer(limits.log_kb * 1024)
        self._report = HeadTailBuffer(limits.report_kb * 1024)
        self._stderr = FrameReader(launch.first_mark, launch.mark)
        self._stdout = FrameReader(launch.mark)
        self._began: float | None = None
        self._first: Started | None = None
        self._last: Ended | None = None
        self._oom_kills = 0
        self._report_complete = False
        self._warm_result: WarmResult | None = None

    @property
    def started(self) -> bool:
        """True once the files are in place and the tests have begun."""
        return self._first is not None

    @property
    def ended(self) -> bool:
        """True once the tests have ended by the launcher's report."""
        return self._last is not None

    @property
    def warm_result(self) -> WarmResult | None:
        """The end of the test run in a warm sandbox, once both streams have reached it."""
        return self._warm_result if self._report_complete else None

    def stdout(self, data: bytes) -> None:
        """Add bytes of the report.

        Raises:
            SandboxError: a line of the launcher is malformed.
        """
        for part in self._stdout.feed(data):
            if isinstance(part, bytes):
                self._report.feed(part)
            else:
                self._add(part)

    def stderr(self, data: bytes) -> None:
        """Add bytes of the log.

        Raises:
            SandboxError: a line of the launcher is malformed.
        """
        for part in self._stderr.feed(data):
            if not isinstance(part, bytes):
                self._add(part)
            elif not self.ended:
                self._log.feed(part)

    def _add(self, frame: Frame) -> None:
        match frame:
            case Started() if self._first is None:
                # What came before the tests is not in their log.
                self._first, self._log = frame, HeadTailBuffer(self._limits.log_kb * 1024)
                self._began = time.monotonic()
            case Ended() if self._first is not None:
                self._last = frame
            case OomKills(number):
                self._oom_kills = number
            case ReportEnd():
                self._report_complete = True
            case WarmResult():
                self._warm_result = frame
            case _:
                raise SandboxError(f"the launcher of the tests wrote a line too early: {frame}")

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
        if not self.ended:
            self._log.feed(self._stderr.rest())
        self._report.feed(self._stdout.rest())
        log = self._log.contents().decode("utf-8", "replace")
        if self._first is None or self._began is None:
            output = log.strip()[-300:] or "none"
            raise SandboxError(f"the sandbox ended before the tests began; its output: {output}")
        seconds = time.monotonic() - self._began
        if self._last is not None:
            (start, cpu_start), (end, cpu_end) = self._first.clock, self._last.clock
            seconds = max(0.0, end - start)
            if cpu_start is not None and cpu_end is not None:
                cpu_seconds = cpu_end - cpu_start
        if cpu_seconds is not None and cpu_seconds >= self._cpu_limit:
            timed_out = True
        if exit_code == KILLED and seconds >= self._timeout - CLOCK_STEP:
            timed_out = True
        return Execution(
            exit_code=None if timed_out else exit_code,
            timed_out=timed_out,
            out_of_memory=out_of_memory or (exit_code != 0 and self._oom_kills > 0),
            # A report with a gap may lack the failures.
            report=b"" if self._report.dropped else self._report.contents(),
            canary=self._canary,
            log=log,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
        )
