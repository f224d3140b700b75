"""Output of a sandbox is read, or is a sandbox error of that attempt, whatever it is."""

import contextlib
import itertools
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmbench.errors import SandboxError
from llmbench.records import AttemptKey, Submission
from llmbench.runners import ResourceLimits
from llmbench.sandboxes.frames import Clock, Ended, FrameReader, OomKills, Started, WarmResult
from llmbench.sandboxes.launch import Capture, Launch
from llmbench.sandboxes.report_formats import REPORT_READERS, Report
from llmbench.sandboxes.verdict import judge

FIRST, MARK, CANARY = "1f" * 16, "2e" * 16, "canary_7"
LIMITS = ResourceLimits(log_kb=1, report_kb=1)

FEW = settings(max_examples=150, deadline=None)
MANY = settings(
    max_examples=7_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
"""Three of these make more than 20,000 frames."""

words = st.one_of(
    st.sampled_from([FIRST, MARK, CANARY, MARK[:9], "start", "end", "oom", "done", "report"]),
    st.sampled_from(["usage_usec", "clean", "soiled", "0", "1.00", "-1", "1e999", "nan", "٣"]),
    st.sampled_from(["9" * 30, "9" * 5000, " ", "\n", "\n\n", "\x00", "tick tock "]),
    st.text(max_size=8),
).map(lambda text: text.encode("utf-8", "replace"))
lines = st.lists(st.one_of(words, st.just(b" "), st.binary(max_size=9)), max_size=24).map(b"".join)
true_frames = st.sampled_from(
    [
        *(f"{FIRST} start 1.00 7\n", f"{FIRST} start 5\n"),
        *(
            f"{MARK} {w}\n"
            for w in ("end 2.00 9", "oom 1", "report", "done 0 0 clean", "done 1 4 x")
        ),
    ]
).map(str.encode)
chunks = st.lists(st.one_of(lines, true_frames), max_size=12)

tags = ["testsuites", "testsuite", "testcase", "failure", "error", "skipped", "!DOCTYPE t", "?x?"]
junit = st.lists(
    st.one_of(
        st.sampled_from([f"<{tag}>" for tag in tags] + [f"</{tag}>" for tag in tags]),
        st.sampled_from([f"<testcase name='{n}'/>" for n in (CANARY, "a", "&lt;", "&x;", "&#0;")]),
        st.sampled_from(["<!ENTITY x SYSTEM 'file:///etc/passwd'>", "<![CDATA[", "]]>", "\ufeff"]),
        st.text(max_size=6),
    ),
    max_size=20,
).map(lambda parts: "".join(parts).encode("utf-8", "replace"))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
events = st.fixed_dictionaries(
    {},
    optional={
        "Action": st.sampled_from(["run", "pass", "fail", "skip", "output"]) | values,
        "Test": st.sampled_from(["TestA", "TestA/x", f"TestC/{CANARY}", "/", ""]) | values,
    },
).map(lambda event: json.dumps(event).encode())
gotest = st.lists(
    st.one_of(events, lines, st.sampled_from([b"9" * 5000, b"[" * 3000, b"\xff\xfe{", b"1e999"])),
    max_size=10,
).map(b"\n".join)


def launch() -> Launch:
    submission = Submission(AttemptKey("t", "p", 1), "any", {"a": ""}, 10.0, 10.0)
    return Launch(submission, FIRST, MARK, CANARY)


def feed(parts: list[bytes], report: list[bytes]) -> None:
    """Read the output of a launch and judge it; only a SandboxError may come of it."""
    capture = Capture(launch(), LIMITS)
    with contextlib.suppress(SandboxError):
        for part in parts:
            capture.stderr(part)
        for part in report:
            capture.stdout(part)
        result = capture.warm_result
        execution = capture.execution(result.exit_code if result else 1)
        assert math.isfinite(execution.seconds)
        assert execution.seconds >= 0
        assert MARK not in execution.log
        for name in REPORT_READERS:
            judge(execution, name)


def read_all(data: bytes) -> None:
    for reader in REPORT_READERS.values():
        report = reader(data, CANARY)
        assert report is None or isinstance(report, Report)


@FEW
@given(chunks, chunks)
def test_no_output_of_a_launcher_or_supervisor_is_a_surprise(
    parts: list[bytes], report: list[bytes]
) -> None:
    feed(parts, report)


@FEW
@given(st.one_of(junit, gotest, lines))
def test_no_report_is_a_surprise(data: bytes) -> None:
    read_all(data)


@pytest.mark.slow
@MANY
@given(chunks, chunks)
def test_no_output_of_many_is_a_surprise(parts: list[bytes], report: list[bytes]) -> None:
    feed(parts, report)


@pytest.mark.slow
@MANY
@given(junit)
def test_no_junit_report_of_many_is_a_surprise(data: bytes) -> None:
    read_all(data)


@pytest.mark.slow
@MANY
@given(gotest)
def test_no_stream_of_many_events_is_a_surprise(data: bytes) -> None:
    read_all(data)


WHOLE = (
    f"before{FIRST} start 1.5 usage_usec 7\nthe log, tick tock {MARK} end 2.50 usage_usec 9\n"
    f"x{MARK} oom 3\ntick tock {MARK} done 137 4 soiled\nafter"
).encode()
PARTS = [
    *(b"before", Started(Clock(1.5, 7e-6)), b"the log, tick tock ", Ended(Clock(2.5, 9e-6))),
    *(b"x", OomKills(3), b"tick tock ", WarmResult(137, 4, False), b"after"),
]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_frames_are_found_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    reader, found = FrameReader(FIRST, MARK), []
    bounds = [0, *sorted(cuts), len(WHOLE)]
    for start, end in itertools.pairwise(bounds):
        found += list(reader.feed(WHOLE[start:end]))
    joined: list[object] = []
    for part in [*found, reader.rest()]:
        if isinstance(part, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += part
        elif part:
            joined.append(part)
    assert joined == PARTS


def test_the_first_mark_makes_no_later_frame() -> None:
    reader = FrameReader(FIRST, MARK)
    parts = list(reader.feed(f"{FIRST} start 1.00 \n{FIRST} end 9.00 \n".encode()))
    assert [part for part in parts if not isinstance(part, bytes)] == [Started(Clock(1.0, None))]


@pytest.mark.parametrize("line", ["end", "done 1 clean", "oom 99999999999", "start 1e9", "x" * 300])
def test_a_malformed_line_of_the_launcher_is_a_sandbox_error(line: str) -> None:
    with pytest.raises(SandboxError, match="the launcher of the tests wrote"):
        list(FrameReader(MARK).feed(f"{MARK} {line}\n".encode()))
