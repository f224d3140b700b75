"""Hostile code in every language and every confined sandbox.

The programs are data: `programs/<language>.yaml`. Each must get its outcome in time, and an honest
answer beside it and after it must get the verdict that it gets alone. In the end nothing of them
may remain.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
import yaml
from helpers.sandboxes import CONFINED, opened

from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Problem, Submission, Verdict
from llmbench.runners import load_runners
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.docker import container
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.local import process
from llmbench.sandboxes.local.cgroups import PREFIX

pytestmark = [pytest.mark.anyio, pytest.mark.alone, pytest.mark.fixed_verdict]

RUNNERS = load_runners(bundled_dir("runners"))
LANGUAGES: Mapping[str, Any] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "programs").glob("*.yaml"))
}
# Under gVisor each takes several times as long.
GVISOR = "docker-runsc"
SANDBOXES = [*CONFINED, pytest.param(GVISOR, marks=[pytest.mark.docker, pytest.mark.slow])]
AT_ONCE = 3
WALL_SECONDS = 40.0
GRACE_SECONDS = 2.0
POINTS = ("outcome", "exit_code", "tests_passed", "tests_total")
"""Fields that must be the same in all verdicts on an honest answer."""
OVERHEAD_SECONDS = 30.0
"""Longest time of a sandbox before and after the tests on a busy machine."""


def submission(lang: str, name: str, code: str, program: Mapping[str, Any]) -> Submission:
    language = LANGUAGES[lang]
    tests = language[program.get("tests", "tests")]
    problem = Problem(name, lang, "-", tests, options=language.get("options", {}))
    wall = program.get("wall", WALL_SECONDS)
    return RUNNERS[lang].submission(AttemptKey("hostile", name, 1), problem, code, wall)


def test_every_language_has_at_least_fifteen_programs() -> None:
    assert set(LANGUAGES) == set(RUNNERS)
    assert all(len(language["programs"]) >= 15 for language in LANGUAGES.values())


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", SANDBOXES)
async def test_hostile_code_gets_its_outcome_and_does_no_harm(
    kind: str, lang: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for module in (container, process):
        monkeypatch.setattr(module, "OUTER_GRACE_SECONDS", GRACE_SECONDS)
    monkeypatch.setenv("HOSTILE_SECRET", "not for the code in a sandbox")
    before = leftovers()
    faults: list[str] = []
    programs = LANGUAGES[lang]["programs"].items()
    alone = [(name, program) for name, program in programs if kind in program.get("noticed", ())]
    waiting = iter([each for each in programs if each not in alone])

    async with opened(kind, RUNNERS) as sandbox:
        witness = await Witness.at_rest(sandbox, lang)

        async def run(name: str, program: Mapping[str, Any]) -> None:
            code = program["code"].replace("@PORT@", str(port))
            if kind == GVISOR:
                program = {**program, "outcome": program.get("gvisor", program["outcome"])}
            faults.extend(await faults_of(sandbox, lang, name, code, program))

        async def one_after_another() -> None:
            for name, program in waiting:
                with witness.near(name):
                    await run(name, program)

        async with witness.beside(faults), anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(one_after_another)
        for name, program in alone:
            await run(name, program)
            faults.extend(await witness.faults(f"after {name}"))
        faults += await unused_containers(sandbox)
    faults += [f"left: {thing}" for thing in sorted(leftovers() - before)]
    faults += [f"left: {path}" for path in tmp_path.iterdir()]
    assert not faults, "\n" + "\n".join(faults)


async def faults_of(
    sandbox: Sandbox, lang: str, name: str, code: str, program: Mapping[str, Any]
) -> list[str]:
    """Wrong points of the program's verdict."""
    began = anyio.current_time()
    verdict = await sandbox.run(submission(lang, name, code, program))
    seconds = anyio.current_time() - began
    faults = []
    if verdict.outcome not in program["outcome"]:
        faults.append(f"{name}: {summary(verdict)}")
    if seconds > program.get("wall", WALL_SECONDS) + OVERHEAD_SECONDS:
        faults.append(f"{name}: took {seconds:.1f} s")
    return faults


@dataclass(frozen=True)
class Witness:
    """An honest answer that notices what others hold or leave, and its verdict alone."""

    sandbox: Sandbox
    lang: str
    rest: Verdict
    running: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    @classmethod
    async def at_rest(cls, sandbox: Sandbox, lang: str) -> Self:
        """Run it while nothing else runs."""
        rest = await sandbox.run(submission(lang, "honest", LANGUAGES[lang]["honest"], {}))
        assert rest.outcome == "passed", summary(rest)
        return cls(sandbox, lang, rest)

    async def faults(self, where: str) -> list[str]:
        """Run it again, and return how its verdict differs."""
        again = await self.sandbox.run(
            submission(self.lang, "honest", LANGUAGES[self.lang]["honest"], {})
        )
        same = all(getattr(again, point) == getattr(self.rest, point) for point in POINTS)
        return [] if same else [f"honest {where}: {summary(again)}"]

    @contextmanager
    def near(self, name: str) -> Iterator[None]:
        """Name a program that runs in this block in faults beside it and in the first after it."""
        self.running.add(name)
        yield
        self.running.remove(name)
        self.ended.add(name)

    @asynccontextmanager
    async def beside(self, faults: list[str]) -> AsyncIterator[None]:
        """Run it, one after another, for as long as the block runs, and once after its end."""
        over = anyio.Event()

        async def watch() -> None:
            is_last = False
            while not is_last:
                is_last = over.is_set()
                names = self.running | self.ended
                self.ended.clear()
                wrong = await self.faults("beside others")
                names |= self.running | self.ended
                faults.extend(f"{fault}, near {sorted(names)}" for fault in wrong)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            yield
            over.set()


def summary(verdict: Verdict) -> str:
    return f"{verdict.outcome} {verdict.exit_code} {verdict.seconds} {verdict.log[-400:]!r}"


async def unused_containers(sandbox: Sandbox) -> list[str]:
    """Containers of the run that are neither idle nor in use."""
    if not isinstance(sandbox, DockerSandbox):
        return []
    idle = sandbox.idle if isinstance(sandbox, WarmDockerSandbox) else 0
    return [f"left: container {c.id}" for c in (await sandbox.containers())[idle:]]


def leftovers() -> set[str]:
    """Processes, groups, mounts, files and IPC objects that code could leave here."""
    mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}
    things = {f"mount {mount}" for mount in mounts if "llmbench" in mount or "work" in mount}
    for kind in ("shm", "sem", "msg"):
        things |= {
            f"{kind} {line}" for line in Path(f"/proc/sysvipc/{kind}").read_text().split("\n")[1:]
        }
    things |= {f"file {path}" for path in Path("/dev/shm").iterdir()}
    # A group with a process cannot be removed.
    groups = Path("/sys/fs/cgroup").rglob(f"{PREFIX}{os.getpid()}-*")
    things |= {f"group {path}" for path in groups}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() or argv[:2] == [b"sleep", b"1000"]:
                things.add(f"process {folder.name} {argv[:3]}")
    return things
