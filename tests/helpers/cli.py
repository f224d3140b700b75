"""Runs the command line as people do: in a process of its own, in a folder of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import yaml
from anyio.abc import ByteReceiveStream

from llmbench import problems
from llmbench.demo import server as recorded
from llmbench.demo.server import ReplayServer
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

LANGUAGES = {
    lang: runner.option_values for lang, runner in load_runners(bundled_dir("runners")).items()
}


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def command(*flags: str) -> list[str]:
    """Return the command line with these flags."""
    return [sys.executable, "-m", "llmbench", *flags]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of this process without API keys, and with more variables."""
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**plain, "COLUMNS": "200", **more}


async def run(folder: Path, *flags: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end."""
    done = await anyio.run_process(
        command(*flags), cwd=folder, env=env or environment(), check=False, stdin=subprocess.DEVNULL
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


async def interrupted(
    folder: Path, *flags: str, rows: int, signals: Sequence[signal.Signals], pause: float = 0.3
) -> Ran:
    """Run until the journal holds so many rows, send the signals, and wait for the end."""
    async with await anyio.open_process(
        command(*flags), cwd=folder, env=environment(), stdin=subprocess.DEVNULL
    ) as process:
        out, err = bytearray(), bytearray()
        async with anyio.create_task_group() as tasks:
            for stream, buffer in ((process.stdout, out), (process.stderr, err)):
                assert stream is not None
                tasks.start_soon(_gather, stream, buffer)
            with anyio.fail_after(120):
                while journaled_rows(folder) < rows:
                    assert process.returncode is None, err.decode()
                    await anyio.sleep(0.02)
                for number in signals:
                    process.send_signal(number)
                    await anyio.sleep(pause)
                await process.wait()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def _gather(stream: ByteReceiveStream, buffer: bytearray) -> None:
    async for data in stream:
        buffer += data


def journaled_rows(folder: Path) -> int:
    """Count the rows that the runs in a folder have journaled so far."""
    journals = folder.glob("_work/*/journal.jsonl")
    return sum(journal.read_bytes().count(b'{"row":') for journal in journals)


@asynccontextmanager
async def serving(folder: Path, *models: str) -> AsyncIterator[ReplayServer]:
    """Serve models of these names that answer every bundled problem with its reference."""
    loaded = problems.load([bundled_dir("problems")], LANGUAGES)
    answers = {p.id: [{"text": f"```{p.lang}\n{{{{reference}}}}\n```\n"}] for p in loaded}
    recordings = folder / "recordings"
    recordings.mkdir()
    for number, model in enumerate(models):
        recording = {
            "model": model,
            "description": "answers with the reference",
            "tokens_per_second": 1000,
            "ttft_seconds": 0.01,
            "answers": answers,
        }
        (recordings / f"{number}.yaml").write_text(yaml.safe_dump(recording))
    async with recorded.serve(loaded, pace=0, folder=recordings) as server:
        yield server
