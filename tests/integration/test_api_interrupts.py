"""Ctrl-C while `llmbench.run()` works: the first drains, the second gives up."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import polars as pl
import pytest
from helpers.cli import environment, journaled_rows
from helpers.sandboxes import opened
from helpers.scripted_server import HELLO, Script, scripted

from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

CALL = """
import asyncio, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
import llmbench.api

def call():
    try:
        table = llmbench.run(
            provider="openai-compatible", base_url={url!r}, model="m", only="python-lru*", runs=9,
            concurrency=1, sandbox="bubblewrap", out="r.csv",
        )
    except KeyboardInterrupt:
        print("interrupted")
    else:
        print("rows", len(table))

async def notebook():
    call()

{how}
"""
PLAIN, IN_A_LOOP = "call()", "asyncio.run(notebook())"


async def interrupted(
    folder: Path, how: str, pause: float, signals: Sequence[signal.Signals]
) -> str:
    """Run until two answers have rows and a third is in flight, and send the signals."""
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    # Only requests for answers count below.
    (folder / "llmbench.yaml").write_text("providers: {openai-compatible: {inspect: false}}")
    slow = Script([HELLO[:40], pause, HELLO[40:]])
    async with scripted(Script(status=404), Script([HELLO]), Script([HELLO]), slow) as (server, _):
        code = CALL.format(url=server.base_url, how=how)
        async with await anyio.open_process(
            [sys.executable, "-c", code], cwd=folder, env=environment()
        ) as process:
            with anyio.fail_after(120):
                while journaled_rows(folder) < 2 or len(server.heads) < 4:
                    assert process.returncode is None
                    await anyio.sleep(0.05)
                for number in signals:
                    process.send_signal(number)
                    await anyio.sleep(0.5)
                assert process.stdout is not None
                out = b"".join([data async for data in process.stdout])
                await process.wait()
    assert len(server.heads) == 4, "a request was sent after Ctrl-C"
    return out.decode().strip()


@pytest.mark.parametrize("how", [PLAIN, IN_A_LOOP])
async def test_the_first_ctrl_c_returns_the_rows_so_far(tmp_path: Path, how: str) -> None:
    assert await interrupted(tmp_path, how, 3.0, [signal.SIGINT]) == "rows 3"
    assert len(pl.read_csv(tmp_path / "r.csv")) == 3


@pytest.mark.parametrize("how", [PLAIN, IN_A_LOOP])
async def test_the_second_ctrl_c_gives_up_and_still_writes(tmp_path: Path, how: str) -> None:
    out = await interrupted(tmp_path, how, 100.0, [signal.SIGINT, signal.SIGINT])
    assert out == "interrupted"
    assert len(pl.read_csv(tmp_path / "r.csv")) == 2
