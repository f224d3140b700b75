"""Standard output and error as channels that never raise, and the gate of everything printed."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from llmbench.cli import main
from llmbench.events import TargetStopped
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Target
from llmbench.reports.channel import Channel, standard_channels
from llmbench.reports.console import Console

HOSTILE = "evil\x1b]0;title\x07\x9b31m\u202e\ud800\r[/bold]"


@pytest.fixture
def full() -> Iterator[Channel]:
    """A channel to a full disk."""
    with Path("/dev/full").open("w") as stream:
        channel = Channel(stream)
        yield channel
        channel.discard()


def encoded(text: str, encoding: str) -> str:
    """Write a text to a channel of this encoding, and return it as a reader sees it."""
    data = io.BytesIO()
    channel = Channel(io.TextIOWrapper(data, encoding=encoding))
    channel.write(text)
    channel.flush()
    assert channel.error is None
    return data.getvalue().decode(encoding)


def test_a_full_disk_is_an_error_of_the_channel_and_no_exception(full: Channel) -> None:
    full.write("text")
    full.flush()
    assert isinstance(full.error, OSError)
    full.write("more")
    full.flush()


def test_a_reader_that_is_gone_raises_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        channel = Channel(stream)
        channel.write("text")
        channel.flush()
        assert isinstance(channel.error, BrokenPipeError)
        channel.discard()


def test_a_stream_that_is_closed_or_missing_drops_its_text() -> None:
    stream = io.StringIO()
    stream.close()
    for channel in (Channel(stream), Channel(None)):
        assert not channel.isatty()
        assert channel.write("text") == 4
        channel.flush()


@pytest.mark.parametrize(
    ("text", "encoding", "seen"),
    [
        ("2 × 3 – → …", "utf-8", "2 × 3 – → …"),
        ("2 × 3 – → …", "ascii", "2 x 3 - -> ..."),
        ("2 × 3 – →", "latin-1", "2 × 3 - ->"),
        ("日本 – é", "cp932", "日本 - \\xe9"),
        ("日本 ☃ \U0001f600", "euc_jp", "日本 \\u2603 \\U0001f600"),
        ("half \ud800", "utf-8", "half \\ud800"),
    ],
)
def test_a_character_that_an_encoding_lacks_has_a_likeness(
    text: str, encoding: str, seen: str
) -> None:
    assert encoded(text, encoding) == seen


def test_the_streams_of_the_caller_are_put_back() -> None:
    before = sys.stdout, sys.stderr
    with standard_channels() as (out, err):
        assert (sys.stdout, sys.stderr) == (out, err)
    assert (sys.stdout, sys.stderr) == before


def test_an_unexpected_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("of\x1b[31m two\nlines")

    monkeypatch.setattr("llmbench.cli.schema.main", broken)
    assert main(["schema"]) == 1
    assert capsys.readouterr().err == (
        "llmbench: a fault of llmbench: ZeroDivisionError: of\\x1b[31m two: please report it; "
        "-v shows where it is\n"
    )


def test_everything_that_is_printed_passes_one_gate(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=False)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    console.info(HOSTILE)
    console.warn(HOSTILE)
    console.print(HOSTILE)
    console.write(HOSTILE)
    console.print_raw([HOSTILE, Text(HOSTILE)])
    console.print_tables([table, Text(HOSTILE)])
    plan = Plan((EndpointPlan((Target("lmstudio", HOSTILE, ""),), 1),), (), 1, 1, 45.0)
    with console.progress(plan) as emit:
        emit(TargetStopped(f"lmstudio/{HOSTILE}", HOSTILE))
    out, err = capsys.readouterr()
    for text in (out, err):
        assert text.count("evil\\x1b]0;title") >= 3
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\ud800", "\r"} & set(text)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_display_shows_a_hostile_name_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    plan = Plan((EndpointPlan((Target("lmstudio", HOSTILE, ""),), 1),), (), 1, 1, 45.0)
    with Console(quiet=False).progress(plan):
        pass
    assert "\\x1b]0;title" in terminal.getvalue()
    assert "\x1b]0" not in terminal.getvalue()
    assert "\u202e" not in terminal.getvalue()


def test_a_quiet_console_says_that_a_target_has_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Console(quiet=True).progress(Plan((), (), 1, 1, 45.0)) as emit:
        emit(TargetStopped("lmstudio/m", "the key is wrong"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "llmbench: stopped lmstudio/m: the key is wrong\n"
