import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from llmbench.errors import SandboxError
from llmbench.records import AttemptKey, Submission
from llmbench.runners import ResourceLimits
from llmbench.sandboxes.launch import Capture, HeadTailBuffer, Launch, pack
from llmbench.sandboxes.verdict import Execution

LIMITS = ResourceLimits(log_kb=1, report_kb=1)


def a_launch(
    timeout: float = 10.0, files: dict[str, str] | None = None, cpu_seconds: float = 10.0
) -> Launch:
    key = AttemptKey("t", "p", 1)
    return Launch(Submission(key, "any", files or {"a.txt": "A"}, timeout, cpu_seconds))


def frames(launch: Launch, log: bytes) -> bytes:
    """The log of tests between the lines of the launcher, 1 s apart."""
    first, last = f"{launch.first_mark} start 1.00 \n", f"{launch.mark} end 2.00 \n"
    return first.encode() + log + last.encode()


def captured(launch: Launch, log: bytes, exit_code: int | None = 0) -> Execution:
    capture = Capture(launch, LIMITS)
    capture.stderr(log)
    return capture.execution(exit_code)


def test_an_archive_holds_the_files() -> None:
    files = {"b/c.txt": "é", "a.txt": "x" * 20_000}
    with tarfile.open(fileobj=io.BytesIO(pack(files))) as archive:
        members = {m.name: archive.extractfile(m) for m in archive.getmembers()}
        assert {n: f.read().decode() for n, f in members.items() if f} == files


def test_the_same_files_make_the_same_archive() -> None:
    assert pack({"a": "1", "b": "2"}) == pack({"b": "2", "a": "1"})


def test_a_lone_surrogate_does_not_stop_an_archive() -> None:
    assert pack({"a": "\ud800"})


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../up", "", "a\\b", "a\nb", "a//b"])
def test_a_path_that_leaves_the_work_folder_is_refused(path: str) -> None:
    with pytest.raises(SandboxError, match="is not a path inside the work folder"):
        pack({path: ""})


def test_a_buffer_keeps_head_and_tail_and_notes_the_gap() -> None:
    buffer = HeadTailBuffer(10)
    for byte in b"abcdefghijklmnopqrstuvwxyz":
        buffer.feed(bytes([byte]))
    assert buffer.contents() == b"abcde\n[16 bytes left out]\nvwxyz"


def test_a_buffer_keeps_a_stream_that_fits() -> None:
    buffer = HeadTailBuffer(10)
    buffer.feed(b"abcdefg")
    buffer.feed(b"hij")
    assert (buffer.contents(), buffer.dropped) == (b"abcdefghij", 0)


def test_a_buffer_keeps_little_of_a_flood() -> None:
    buffer = HeadTailBuffer(1000)
    for _ in range(1000):
        buffer.feed(b"x" * 65536)
    assert len(buffer.contents()) < 1100
    assert buffer.dropped == 65536 * 1000 - 1000


@pytest.mark.parametrize(
    ("first", "last", "cpu"),
    [
        ("100.00 5000000000", "101.50 5250000000", 0.25),
        ("100.00 usage_usec 5000000", "101.50 usage_usec 5250000", 0.25),
        ("100.00 ", "101.50 ", None),
    ],
)
def test_the_lines_of_the_launcher_give_the_times_and_are_not_in_the_log(
    first: str, last: str, cpu: float | None
) -> None:
    launch = a_launch()
    log = f"{launch.first_mark} start {first}\nhello\nworld\n{launch.mark} end {last}\n"
    execution = captured(launch, log.encode())
    assert (execution.log, execution.seconds, execution.cpu_seconds) == ("hello\nworld\n", 1.5, cpu)


def test_a_log_may_contain_bytes_that_are_not_text() -> None:
    launch = a_launch()
    log = frames(launch, b"\xff\x00ok")
    assert captured(launch, log).log == "\ufffd\x00ok"


def test_a_flood_in_the_log_is_cut_and_the_times_remain() -> None:
    launch = a_launch()
    flood = b"x" * 100_000
    log = frames(launch, flood)
    execution = captured(launch, log)
    assert execution.seconds == 1.0
    assert len(execution.log) < 1100
    assert "bytes left out" in execution.log


def test_an_end_before_the_tests_began_is_a_sandbox_error() -> None:
    with pytest.raises(SandboxError, match="its output: tar: no space left"):
        captured(a_launch(), b"tar: no space left\n", 125)


@pytest.mark.parametrize(
    ("code", "end", "timed_out"), [(137, 110.0, True), (137, 104.0, False), (1, 110.0, False)]
)
def test_the_wall_time_tells_a_timeout_from_another_kill(
    code: int, end: float, timed_out: bool
) -> None:
    launch = a_launch(timeout=10.0)
    log = f"{launch.first_mark} start 100.00 \n{launch.mark} end {end:.2f} \n"
    execution = captured(launch, log.encode(), code)
    assert execution.timed_out is timed_out
    assert execution.exit_code == (None if timed_out else code)


@pytest.mark.parametrize(("used", "timed_out"), [(2_900_000, False), (3_000_000, True)])
def test_the_limit_of_processor_time_holds_for_the_sum_of_all_processes(
    used: int, timed_out: bool
) -> None:
    launch = a_launch(cpu_seconds=3.0)
    used += 7
    log = f"{launch.first_mark} start 1.00 usage_usec 7\n{launch.mark} end 2.00 usage_usec {used}\n"
    assert captured(launch, log.encode()).timed_out is timed_out


def test_a_report_that_was_cut_counts_as_empty() -> None:
    launch = a_launch()
    capture = Capture(launch, LIMITS)
    capture.stderr(f"{launch.first_mark} start 1.00 \n".encode())
    capture.stdout(b"x" * 1024)
    assert capture.execution(0).report == b"x" * 1024
    capture.stdout(b"x")
    assert capture.execution(0).report == b""


def run_launcher(
    folder: Path, script: str, timeout: float = 10.0, cgroup: str = ""
) -> tuple[Execution, bytes]:
    home = folder / "home"
    home.mkdir()
    (home / "run.sh").write_text(script)
    work = folder / "work"
    work.mkdir()
    launch, files = a_launch(timeout), {"in/a.txt": "A"}
    archive = pack(files)
    done = subprocess.run(
        launch.argv(archive, str(home), cgroup),
        input=launch.stdin(archive),
        cwd=work,
        capture_output=True,
        check=False,
    )
    capture = Capture(launch, LIMITS)
    capture.stdout(done.stdout)
    capture.stderr(done.stderr)
    return capture.execution(done.returncode), done.stderr


def test_the_launcher_places_the_files_and_runs_the_script(tmp_path: Path) -> None:
    execution, _ = run_launcher(tmp_path, "cat in/a.txt; echo log >&2; cat; exit 3")
    canary = f"{execution.canary}\n".encode()
    assert (execution.exit_code, execution.report, execution.log) == (3, b"A" + canary, "log\n")
    assert execution.cpu_seconds is None


@pytest.mark.parametrize(
    ("file", "first", "last"),
    [
        ("cpu.stat", "usage_usec 1000000\nuser_usec 7", "usage_usec 1500000\nuser_usec 8"),
        ("cpuacct/cpuacct.usage", "1000000000", "1500000000"),
    ],
)
def test_the_launcher_reads_the_processor_time_of_its_cgroup(
    tmp_path: Path, file: str, first: str, last: str
) -> None:
    usage = tmp_path / "cgroup" / file
    usage.parent.mkdir(parents=True)
    usage.write_text(f"{first}\n")
    script = f"printf '%s\\n' '{last}' >'{usage}'"
    execution, _ = run_launcher(tmp_path, script, cgroup=str(tmp_path / "cgroup"))
    assert execution.cpu_seconds == 0.5


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("memory.events", "oom 3\noom_kill {}\noom_group_kill 0\n"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
    ],
)
@pytest.mark.parametrize(
    ("killed", "code", "out_of_memory"), [(2, 1, True), (0, 1, False), (2, 0, False)]
)
def test_the_launcher_reports_a_kill_for_memory_in_its_cgroup(
    tmp_path: Path, file: str, content: str, killed: int, code: int, out_of_memory: bool
) -> None:
    events = tmp_path / "cgroup" / file
    events.parent.mkdir(parents=True)
    events.write_text(content.format(killed))
    script = f"echo log >&2; exit {code}"
    execution, _ = run_launcher(tmp_path, script, cgroup=str(tmp_path / "cgroup"))
    assert execution.out_of_memory is out_of_memory
    assert (execution.exit_code, execution.log) == (code, "log\n")


def test_the_launcher_ends_tests_at_the_wall_limit(tmp_path: Path) -> None:
    execution, _ = run_launcher(tmp_path, "sleep 20", timeout=0.3)
    assert execution.timed_out
    assert 0.27 <= execution.seconds < 2


def test_the_script_cannot_see_the_mark(tmp_path: Path) -> None:
    execution, whole = run_launcher(
        tmp_path, "env >&2; cat /proc/$PPID/cmdline /proc/*/environ >&2"
    )
    marks = re.findall(r"([0-9a-f]{32}) (?:start|end) ", whole.decode())
    assert len(marks) == 2
    assert not any(mark in execution.log for mark in marks)
