"""Findings of `doctor` about engines, images, orphans, caches, servers and keys."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import Ran, environment, run, serving
from helpers.private_engine import NoEngineError, PrivateEngine, private_engine
from helpers.sandboxes import REQUIRED, opened

from llmbench.cli import doctor
from llmbench.models.providers import Provider
from llmbench.plan import bundled_dir
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes.diagnostics import State
from llmbench.sandboxes.docker import images, owner
from llmbench.sandboxes.docker.client import OWNER_LABEL

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(bundled_dir("runners"))
NO_ENGINE = "unix:///nowhere/none.sock"


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    try:
        with private_engine(size=200) as engine:
            yield engine
    except NoEngineError as error:
        if "docker" in REQUIRED:
            pytest.fail(f"a private engine is required here: {error}")
        pytest.skip(str(error))


def image(engine: PrivateEngine, runner: Runner, **changed: str) -> None:
    """Give the engine an image with the runner's files, some of them with another text."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in images.image_files(runner.folder):
            text = changed.get(path.stem, (runner.folder / path).read_text())
            entry = tarfile.TarInfo(f"opt/runner/{path.as_posix()}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    command = ["docker", "-H", engine.host, "import", "-c", 'CMD ["sh"]', "-", runner.config.image]
    subprocess.run(command, input=packed.getvalue(), check=True, capture_output=True)


async def diagnose(folder: Path, *flags: str, **env: str) -> tuple[Ran, dict[str, Any]]:
    """Run the doctor; its findings by part, and the usable kinds under "usable"."""
    ran = await run(
        folder, "doctor", "--json", *flags, env=environment(**{"DOCKER_HOST": NO_ENGINE, **env})
    )
    report = json.loads(ran.out)
    assert ran.code == (0 if report["usable"] else 1), ran.err
    return ran, {**{f["part"]: f for f in report["findings"]}, "usable": report["usable"]}


def state(findings: Mapping[str, Any], part: str) -> str:
    return str(findings[part]["state"])


@pytest.mark.docker
async def test_images_are_compared_with_the_runner_folders(
    tmp_path: Path, engine: PrivateEngine
) -> None:
    for runner in RUNNERS.values():
        image(engine, runner)
    _, findings = await diagnose(tmp_path, DOCKER_HOST=engine.host)
    for part in ("engine", "limits", "runtimes", "orphans", *(f"{r} image" for r in RUNNERS)):
        assert state(findings, part) == "ok", findings[part]
    assert "docker" in findings["usable"]
    first, second, *_ = RUNNERS.values()
    image(engine, first, run="exit 0")
    engine.docker("rmi", second.config.image)
    _, findings = await diagnose(tmp_path, DOCKER_HOST=engine.host)
    assert state(findings, f"{first.lang} image") == "wrong"
    assert findings[f"{first.lang} image"]["detail"].endswith(": run.sh")
    assert state(findings, f"{second.lang} image") == "missing"
    for runner in (first, second):
        build = f"llmbench images build --langs {runner.lang}"
        assert findings[f"{runner.lang} image"]["fix"] == build
    assert "docker" not in findings["usable"]
    assert engine.containers("-a") == []


@pytest.mark.docker
async def test_containers_of_killed_runs_are_found_and_removed_on_request(
    tmp_path: Path, engine: PrivateEngine
) -> None:
    runner = next(iter(RUNNERS.values()))
    image(engine, runner)
    dead = owner.owner_label().split("/")
    dead[2] = "4194305"  # above the highest possible process id
    for label in ("/".join(dead), owner.owner_label()):
        engine.docker("create", "--label", f"{OWNER_LABEL}={label}", runner.config.image)
    _, findings = await diagnose(tmp_path, DOCKER_HOST=engine.host)
    assert (state(findings, "orphans"), findings["orphans"]["detail"]) == (
        "wrong", "1 containers of dead runs",
    )  # fmt: skip
    assert len(engine.containers("-a")) == 2
    _, findings = await diagnose(
        tmp_path, "--fix", DOCKER_HOST=engine.host, XDG_CACHE_HOME=str(tmp_path)
    )
    assert findings["orphans"]["detail"] == "removed 1 containers of dead runs"
    (remaining,) = engine.containers("-a")
    engine.docker("rm", remaining)


async def test_a_missing_engine_is_reported_with_a_fix(tmp_path: Path) -> None:
    ran = await run(tmp_path, "doctor", env=environment(DOCKER_HOST=NO_ENGINE))
    lines = ran.out.splitlines()
    assert lines[0].split(maxsplit=2)[:2] == ["missing", "engine"]
    assert lines[1].strip() == "→ start Docker, or set DOCKER_HOST"
    assert not any("image" in line for line in lines)


@pytest.mark.bubblewrap
async def test_bubblewrap_with_its_toolchains_is_enough(tmp_path: Path) -> None:
    async with opened("bubblewrap", RUNNERS):
        pass
    ran, findings = await diagnose(tmp_path)
    assert (ran.code, findings["usable"]) == (0, ["bubblewrap"])
    for lang in RUNNERS:
        assert any(letter.isdigit() for letter in findings[f"{lang} toolchain"]["detail"])


async def test_the_exit_code_is_one_if_no_sandbox_serves_every_language(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    ran, findings = await diagnose(tmp_path, PATH=str(tools))
    assert (ran.code, findings["usable"]) == (1, [])
    assert state(findings, "bubblewrap") == "missing"
    assert findings["bubblewrap"]["fix"] == "install the package bubblewrap"


async def test_stale_setups_are_found_and_removed_on_request(tmp_path: Path) -> None:
    cache = tmp_path / "llmbench/toolchains"
    for name in ("old-0123456789abcdef", "new-0123456789abcdef"):
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_bytes(bytes(3_000_000))
    os.utime(cache / "old-0123456789abcdef", (0, 0))
    _, findings = await diagnose(tmp_path, XDG_CACHE_HOME=str(tmp_path))
    assert state(findings, "cache") == "wrong"
    assert "2 setups, 6 MB" in findings["cache"]["detail"]
    assert "1 of them stale, 3 MB" in findings["cache"]["detail"]
    _, findings = await diagnose(tmp_path, "--fix", XDG_CACHE_HOME=str(tmp_path))
    assert findings["cache"]["detail"].startswith("removed 1 stale setups, 3 MB; 3 MB remain")
    assert [path.name for path in cache.iterdir()] == ["new-0123456789abcdef"]


async def test_keys_are_named_and_never_printed(tmp_path: Path) -> None:
    ran, findings = await diagnose(tmp_path, OPENAI_API_KEY="sk-very-secret", LLAMA_API_KEY=" ")
    assert findings["keys"]["detail"] == "set: OPENAI_API_KEY"
    assert "very-secret" not in ran.out + ran.err
    _, findings = await diagnose(tmp_path)
    assert state(findings, "keys") == "missing"


async def test_a_server_that_answers_is_reported_with_its_number_of_models(tmp_path: Path) -> None:
    async with serving(tmp_path, "one", "two") as server:
        finding = await doctor.check_server(Provider("near", server.base_url, local=True))
        detail = f"{server.base_url} offers 2 chat models"
        assert (finding.state, finding.detail) == (State.OK, detail)
        other = Provider("odd", f"{server.base_url}/nothing/here", local=True)
        assert (await doctor.check_server(other)).state is State.WRONG
    gone = await doctor.check_server(
        Provider("gone", server.base_url, local=True, start_hint="start it")
    )
    assert (gone.state, gone.fix) == (State.MISSING, "start it")
