"""Code that means harm, in every language, through every confined sandbox.

The programs are data: `programs/<language>.yaml`. Each must get its right outcome in its time; an
honest answer after it must pass; and when all are through, nothing of them is left.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

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

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

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
OVERHEAD_SECONDS = 30.0
"""What a sandbox may take around the tests on a busy machine."""


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
async def test_hostile_code_gets_its_outcome_and_harms_nobody(
    kind: str, lang: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for module in (container, process):
        monkeypatch.setattr(module, "OUTER_GRACE_SECONDS", GRACE_SECONDS)
    monkeypatch.setenv("HOSTILE_SECRET", "not for the code in a sandbox")
    before = outside()
    faults: list[str] = []
    waiting = iter(LANGUAGES[lang]["programs"].items())

    async with opened(kind, RUNNERS) as sandbox:

        async def one_after_another() -> None:
            for name, program in waiting:
                code = program["code"].replace("@PORT@", str(port))
                if kind == GVISOR:
                    program = {**program, "outcome": program.get("gvisor", program["outcome"])}
                faults.extend(await faults_of(sandbox, lang, name, code, program))

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(one_after_another)
        faults += await left_in(sandbox)
    faults += [f"left: {thing}" for thing in sorted(outside() - before)]
    faults += [f"left: {path}" for path in tmp_path.iterdir()]
    assert not faults, "\n" + "\n".join(faults)


async def faults_of(
    sandbox: Sandbox, lang: str, name: str, code: str, program: Mapping[str, Any]
) -> list[str]:
    """What was wrong about the program's verdict, and about that of an honest answer after it."""
    began = anyio.current_time()
    verdict = await sandbox.run(submission(lang, name, code, program))
    seconds = anyio.current_time() - began
    faults = []
    if verdict.outcome not in program["outcome"]:
        faults.append(f"{name}: {told(verdict)}")
    if seconds > program.get("wall", WALL_SECONDS) + OVERHEAD_SECONDS:
        faults.append(f"{name}: took {seconds:.1f} s")
    after = await sandbox.run(submission(lang, "honest", LANGUAGES[lang]["honest"], {}))
    if after.outcome != "passed":
        faults.append(f"honest after {name}: {told(after)}")
    return faults


def told(verdict: Verdict) -> str:
    return f"{verdict.outcome} {verdict.exit_code} {verdict.seconds} {verdict.log[-400:]!r}"


async def left_in(sandbox: Sandbox) -> list[str]:
    """Containers of the run that serve nobody any more."""
    if not isinstance(sandbox, DockerSandbox):
        return []
    idle = sandbox.idle if isinstance(sandbox, WarmDockerSandbox) else 0
    return [f"left: container {c.id}" for c in (await sandbox.containers())[idle:]]


def outside() -> set[str]:
    """What code could leave here: processes, groups, mounts, things that outlive their maker."""
    found = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}
    found = {f"mount {place}" for place in found if "llmbench" in place or "work" in place}
    for kind in ("shm", "sem", "msg"):
        found |= {
            f"{kind} {line}" for line in Path(f"/proc/sysvipc/{kind}").read_text().split("\n")[1:]
        }
    found |= {f"file {path}" for path in Path("/dev/shm").iterdir()}
    # A group that has a process cannot be removed.
    groups = Path("/sys/fs/cgroup").rglob(f"{PREFIX}{os.getpid()}-*")
    found |= {f"group {path}" for path in groups}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() or words[:2] == [b"sleep", b"1000"]:
                found.add(f"process {folder.name} {words[:3]}")
    return found
