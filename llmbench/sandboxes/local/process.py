"""A local process: bubblewrap confines it; alone it is fit only for recorded answers."""

import logging
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple, Self

import anyio
from anyio.to_thread import run_sync

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.records import Submission
from llmbench.runners import ResourceLimits, Runner
from llmbench.sandboxes.base import OUTER_GRACE_SECONDS, BaseSandbox, CrashError, is_crash
from llmbench.sandboxes.launch import KILLED, Capture, Launch, pack
from llmbench.sandboxes.local.cgroups import Group
from llmbench.sandboxes.local.toolchains import Toolchain, set_up, unusable_options, version
from llmbench.sandboxes.local.users import Entry
from llmbench.sandboxes.verdict import Execution

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.05
"""Interval at which memory and tasks are counted, where no cgroup limits them."""

START_SECONDS = 30.0
"""Longest wait until the files are in place."""

STOP_SECONDS = 0.2
"""Longest wait until a process has stopped after SIGSTOP; it takes microseconds."""

LOG_END_SECONDS = 1.0
"""Longest wait for the end of a log whose writers were killed."""

UPTIME = "/proc/uptime"
"""Without this file and its neighbours the time and memory of tests cannot be measured."""

SHELL = "/opt/sh"
"""The shell of the launcher, in sandboxes that have a root of their own."""

CHUNK = 2**16
PAGE = os.sysconf("SC_PAGE_SIZE")


class Start(NamedTuple):
    """A command to start, its current folder, and its whole environment.

    `private` is True if the folder is of this start alone, so that every process in it came from
    this start. `group` limits its processes; without one they are counted, and with them the files
    in the folders `memory_files`. `entry` gives the tests a user of their own.
    """

    argv: list[str]
    folder: Path
    variables: dict[str, str]
    private: bool
    group: Group | None = None
    memory_files: tuple[str, ...] = ()
    entry: Entry | None = None


class ProcessSandbox(BaseSandbox):
    """A sandbox that runs each submission as a process: limited, but not confined."""

    name = "process"

    def __init__(self, runners: Mapping[str, Runner], toolchains: Mapping[str, Toolchain]) -> None:
        """Serve the languages of these runners, which `toolchains` has set up."""
        super().__init__(runners, unusable_options(runners, toolchains))
        self.toolchains = toolchains

    @classmethod
    async def open(cls, runners: Mapping[str, Runner], notify: Callable[[str], None]) -> Self:
        """Set up the languages; `notify` reports setups that take time.

        Raises:
            NoSandboxError: a program is missing; says how to install it.
        """
        if not os.access(UPTIME, os.R_OK):
            raise NoSandboxError(f"this system has no {UPTIME}", hint="use Docker")
        for program in ("sh", "tar", "head", "timeout"):
            if shutil.which(program) is None:
                raise NoSandboxError(f"no program {program}", hint="install tar and coreutils")
        return cls(runners, await set_up(runners, notify))

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once in a fresh folder.

        Raises:
            SandboxError: the process could not start, ended before the tests began, or was ended
                from outside.
        """
        launch, archive = Launch(submission), pack(submission.files)
        capture = Capture(launch, runner.limits)
        try:
            with ExitStack() as stack:
                start = self.start(launch, archive, stack)
                child = stack.enter_context(_Child(start, runner.limits))
                logger.debug("started the tests of %s", submission.key.problem_id)
                timed_out = not await child.follow(launch, archive, capture)
                out_of_memory, cpu_seconds = child.usage(start.group, launch)
        except OSError as error:
            raise SandboxError(f"the test process could not be run: {error}") from error
        # The launcher reaches its end unless it is killed: by us, for memory, or from outside.
        killed = capture.started and not capture.ended and child.exit_code is not None
        if killed and not out_of_memory and not is_crash(child.exit_code):
            raise SandboxError(f"a test process was ended from outside, code {child.exit_code}")
        execution = capture.execution(
            child.exit_code,
            timed_out=timed_out,
            out_of_memory=out_of_memory,
            cpu_seconds=cpu_seconds,
        )
        if killed and not out_of_memory:
            raise CrashError(f"a test process crashed, code {child.exit_code}", execution)
        return execution

    async def versions(self) -> dict[str, str]:
        """Return the version of each program of each language."""
        return {
            f"{lang} {path.name}": await version(path, toolchain.search_path)
            for lang, toolchain in self.toolchains.items()
            for path in toolchain.programs
        }

    async def aclose(self) -> None:
        """Do nothing: no process or file outlives a run."""

    def start(self, launch: Launch, archive: bytes, stack: ExitStack) -> Start:
        """Return the start of the launcher; `stack` undoes its preparations."""
        folder = tempfile.TemporaryDirectory(prefix="llmbench-", ignore_cleanup_errors=True)
        own = Path(stack.enter_context(folder)).resolve()
        work, scratch = own / "work", own / "tmp"
        work.mkdir()
        scratch.mkdir()
        toolchain = self.toolchains[launch.submission.lang]
        argv = self.limited(launch, launch.argv(archive, str(toolchain.runner)))
        variables = self.variables(launch, str(scratch), str(toolchain.support))
        return Start(argv, work, variables, private=True)

    def variables(self, launch: Launch, scratch: str, support: str) -> dict[str, str]:
        """Return the whole environment of the tests."""
        lang, options = launch.submission.lang, launch.submission.options
        return {
            "PATH": self.toolchains[lang].search_path,
            "HOME": scratch,
            "TMPDIR": scratch,
            "RUNNER_HOME": support,
            **self.runners[lang].environment(options),
        }

    def limits(self, launch: Launch) -> ResourceLimits:
        """Return the limits of the tests."""
        submission = launch.submission
        return self.runners[submission.lang].for_options(submission.options).limits

    def limited(self, launch: Launch, argv: list[str]) -> list[str]:
        """Return the command under the limits of each process (ulimit)."""
        limits = self.limits(launch)
        script = (
            f"ulimit -c 0 && ulimit -n {limits.open_files} "
            f'&& ulimit -f {limits.file_mb * 2**20 // 512} && exec "$@"'
        )
        return ["sh", "-c", script, "sh", *argv]


class _Child:
    """One process with its descendants; none of them outlives the `with` block."""

    def __init__(self, start: Start, limits: ResourceLimits) -> None:
        self.exit_code: int | None = None
        self._cpu_seconds: float | None = None
        self._over_memory = False
        self._limits = limits
        self._killed = False
        self._private = start.folder if start.private else None
        self._counted = start.group is None
        self._memory_files = start.memory_files
        self._entry = start.entry
        self._process = subprocess.Popen(
            start.argv,
            cwd=start.folder,
            env=start.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal reaches llmbench alone
            pass_fds=start.entry.inherited if start.entry else (),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._kill()
            self._process.wait()
        self._kill_strays()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    async def follow(self, launch: Launch, archive: bytes, capture: Capture) -> bool:
        """Write its input, read its output and watch it to its end; False if that took too long."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin
        assert stdout
        assert stderr
        with anyio.move_on_after(START_SECONDS) as outer:

            def read_log(data: bytes) -> None:
                started = capture.started
                capture.stderr(data)
                if capture.started and not started:
                    grace = launch.submission.timeout + OUTER_GRACE_SECONDS
                    outer.deadline = anyio.current_time() + grace

            if self._entry:
                await self._entry.admit()
            async with anyio.create_task_group() as watching:
                if self._counted:
                    watching.start_soon(self._watch)
                async with anyio.create_task_group() as group:
                    group.start_soon(_write, stdin, launch.stdin(archive))
                    group.start_soon(_read, stderr, read_log)
                    # No process of the tests has stdout: it ends with the launcher.
                    await _read(stdout, capture.stdout)
                    await self._wait()
                    group.cancel_scope.deadline = anyio.current_time() + LOG_END_SECONDS
                watching.cancel_scope.cancel()
        return not outer.cancelled_caught

    def usage(self, group: Group | None, launch: Launch) -> tuple[bool, float | None]:
        """Return True if it ran out of memory, and its processor seconds if they are known."""
        if group is not None:
            return group.out_of_memory, group.cpu_seconds
        seconds = self._cpu_seconds
        # The sum lacks processes that `timeout` killed, for which nobody waited.
        if self.exit_code == KILLED and seconds and seconds < launch.submission.cpu_seconds:
            seconds = None
        return self._over_memory, seconds

    async def _wait(self) -> None:
        _, status, usage = await run_sync(os.wait4, self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._kill_strays()
        if not self._killed:
            self.exit_code = self._process.returncode
            self._cpu_seconds = usage.ru_utime + usage.ru_stime

    async def _watch(self) -> None:
        while True:
            pids = processes_below(self._process.pid)
            used = _memory(pids, self._memory_files)
            self._over_memory = used > self._limits.memory_mb * 2**20
            if self._over_memory or _tasks(pids) > self._limits.pids:
                self._killed = True
                self._kill()
                return
            await anyio.sleep(WATCH_SECONDS)

    def _kill(self) -> None:
        # Stop it first: a child that it starts while it dies would escape and never end.
        with suppress(ProcessLookupError, TimeoutError):
            os.kill(self._process.pid, signal.SIGSTOP)
            _await_stop(self._process.pid)
        _kill([self._process.pid, *processes_below(self._process.pid)])

    def _kill_strays(self) -> None:
        """Kill the processes that the launcher left behind, where no namespace does it."""
        if self._private:
            _kill(_strays(self._process.pid, self._private))


async def _write(pipe: IO[bytes], data: bytes) -> None:
    descriptor, remaining = pipe.fileno(), memoryview(data)
    os.set_blocking(descriptor, False)
    with suppress(BrokenPipeError):  # it ended early: its output says why
        while remaining:
            try:
                remaining = remaining[os.write(descriptor, remaining[:CHUNK]) :]
            except BlockingIOError:
                await anyio.wait_writable(descriptor)
    with suppress(BrokenPipeError):
        pipe.close()


async def _read(pipe: IO[bytes], callback: Callable[[bytes], None]) -> None:
    descriptor = pipe.fileno()
    os.set_blocking(descriptor, False)
    while True:
        # Waits even if there is more, so that a flood does not starve other tasks.
        await anyio.wait_readable(descriptor)
        with suppress(BlockingIOError):
            data = os.read(descriptor, CHUNK)
            if not data:
                return
            callback(data)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _await_stop(pid: int) -> None:
    """Wait until a process has stopped.

    Raises:
        TimeoutError: it is busy in the kernel.
    """
    end = time.monotonic() + STOP_SECONDS
    while _stat(pid)[0] not in "TtZX":
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.0005)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; state X if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X"]


def processes_below(root: int) -> list[int]:
    """Return the descendants of a process, parents first."""
    pids = [root]
    for pid in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids[1:]


def _strays(leader: int, folder: Path) -> list[int]:
    """The processes of a session whose leader is dead, and those whose folder is this one."""
    strays = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            session = int(_stat(int(process.name))[3])
            if session == leader or (process / "cwd").readlink().is_relative_to(folder):
                strays.append(int(process.name))
    return strays


def _memory(pids: Iterable[int], memory_files: Sequence[str]) -> int:
    """Bytes of these processes: their share of pages in common, and files in memory.

    `memory_files` are folders of theirs that are in memory, whose files may also be mapped. Pages
    of files on disk do not count: the kernel can drop them.
    """
    private = shared = files = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            usage = _proportional(pid)
            private += usage["Pss_Anon"]
            shared += usage["Pss_Shmem"]
        with suppress(OSError):
            root = f"/proc/{pid}/root"
            used = [os.statvfs(root + path) for path in memory_files if Path(root + SHELL).exists()]
            files = max(files, sum((each.f_blocks - each.f_bfree) * each.f_frsize for each in used))
    return private + max(shared, files)


def _proportional(pid: int) -> dict[str, int]:
    """Bytes of a process by kind, each page divided by the number of its users.

    Without this file, or the right to read it (that of process 1), its resident bytes that are not
    shared with files.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        fields = {
            name: int(kib.split()[0]) * 1024
            for name, _, kib in (line.partition(":") for line in lines)
        }
        return {"Pss_Anon": fields["Pss_Anon"], "Pss_Shmem": fields["Pss_Shmem"]}
    except (OSError, KeyError):
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
        return {"Pss_Anon": (int(resident) - int(shared)) * PAGE, "Pss_Shmem": 0}


def _tasks(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    return total
