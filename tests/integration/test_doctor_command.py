"""What the doctor says is so: of engines, images, orphans, caches, servers and keys."""

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
from llmbench.sandboxes.docker import owner as owners
from llmbench.sandboxes.docker.client import OWNER_LABEL

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(bundled_dir("runners"))
NO_ENGINE = "unix:///nowhere/none.sock"


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    try:
        with private_engine(size=200) as made:
            yield made
    except NoEngineError as error:
        if "docker" in REQUIRED:
            pytest.fail(f"a private engine is required here: {error}")
        pytest.skip(str(error))


def image(engine: PrivateEngine, runner: Runner, **changed: str) -> None:
    """Give the engine an image that holds the runner's folder, some files with another text."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(runner.folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(runner.folder).as_posix()
                data = changed.get(path.stem, path.read_text()).encode()
                entry = tarfile.TarInfo(f"opt/runner/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    command = ["docker", "-H", engine.host, "import", "-c", 'CMD ["sh"]', "-", runner.config.image]
    subprocess.run(command, input=packed.getvalue(), check=True, capture_output=True)


async def look(folder: Path, *flags: str, **env: str) -> tuple[Ran, dict[str, Any]]:
    """What the doctor says, by part."""
    ran = await run(
        folder, "doctor", "--json", *flags, env=environment(**{"DOCKER_HOST": NO_ENGINE, **env})
    )
    told = json.loads(ran.out)
    assert ran.code == (0 if told["usable"] else 1), ran.err
    return ran, {**{f["part"]: f for f in told["findings"]}, "usable": told["usable"]}


def state(found: Mapping[str, Any], part: str) -> str:
    return str(found[part]["state"])


@pytest.mark.docker
async def test_images_are_compared_with_the_runner_folders(
    tmp_path: Path, engine: PrivateEngine
) -> None:
    for runner in RUNNERS.values():
        image(engine, runner)
    _, found = await look(tmp_path, DOCKER_HOST=engine.host)
    for part in ("engine", "limits", "runtimes", "orphans", *(f"{r} image" for r in RUNNERS)):
        assert state(found, part) == "ok", found[part]
    assert "docker" in found["usable"]
    first, second, *_ = RUNNERS.values()
    image(engine, first, run="exit 0")
    engine.docker("rmi", second.config.image)
    _, found = await look(tmp_path, DOCKER_HOST=engine.host)
    assert state(found, f"{first.lang} image") == "wrong"
    assert found[f"{first.lang} image"]["said"].endswith(": run.sh")
    assert state(found, f"{second.lang} image") == "missing"
    for runner in (first, second):
        build = f"docker build -t {runner.config.image} {runner.folder}"
        assert found[f"{runner.lang} image"]["todo"] == build
    assert "docker" not in found["usable"]
    assert engine.containers("-a") == []


@pytest.mark.docker
async def test_what_killed_runs_left_is_found_and_removed_on_request(
    tmp_path: Path, engine: PrivateEngine
) -> None:
    runner = next(iter(RUNNERS.values()))
    image(engine, runner)
    dead = owners.owner_label().split("/")
    dead[2] = "4194305"  # above the highest process id there can be
    for owner in ("/".join(dead), owners.owner_label()):
        engine.docker("create", "--label", f"{OWNER_LABEL}={owner}", runner.config.image)
    _, found = await look(tmp_path, DOCKER_HOST=engine.host)
    assert (state(found, "orphans"), found["orphans"]["said"]) == (
        "wrong", "1 containers of dead runs",
    )  # fmt: skip
    assert len(engine.containers("-a")) == 2
    _, found = await look(tmp_path, "--fix", DOCKER_HOST=engine.host, XDG_CACHE_HOME=str(tmp_path))
    assert found["orphans"]["said"] == "removed 1 containers of dead runs"
    (left,) = engine.containers("-a")
    engine.docker("rm", left)


async def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    ran = await run(tmp_path, "doctor", env=environment(DOCKER_HOST=NO_ENGINE))
    lines = ran.out.splitlines()
    assert lines[0].split(maxsplit=2)[:2] == ["missing", "engine"]
    assert lines[1].strip() == "→ start Docker, or set DOCKER_HOST"
    assert not any("image" in line for line in lines)


@pytest.mark.bubblewrap
async def test_bubblewrap_with_its_toolchains_is_enough(tmp_path: Path) -> None:
    async with opened("bubblewrap", RUNNERS):
        pass
    ran, found = await look(tmp_path)
    assert (ran.code, found["usable"]) == (0, ["bubblewrap"])
    for lang in RUNNERS:
        assert any(letter.isdigit() for letter in found[f"{lang} toolchain"]["said"])


async def test_where_nothing_serves_a_language_the_exit_code_is_one(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    ran, found = await look(tmp_path, PATH=str(tools))
    assert (ran.code, found["usable"]) == (1, [])
    assert state(found, "bubblewrap") == "missing"
    assert found["bubblewrap"]["todo"] == "install the package bubblewrap"


async def test_stale_set_ups_are_found_and_removed_on_request(tmp_path: Path) -> None:
    cache = tmp_path / "llmbench/toolchains"
    for name in ("old-0123456789abcdef", "new-0123456789abcdef"):
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_bytes(bytes(3_000_000))
    os.utime(cache / "old-0123456789abcdef", (0, 0))
    _, found = await look(tmp_path, XDG_CACHE_HOME=str(tmp_path))
    assert state(found, "cache") == "wrong"
    assert "2 set-ups, 6 MB" in found["cache"]["said"]
    assert "1 of them stale, 3 MB" in found["cache"]["said"]
    _, found = await look(tmp_path, "--fix", XDG_CACHE_HOME=str(tmp_path))
    assert found["cache"]["said"].startswith("removed 1 stale set-ups, 3 MB; 3 MB left")
    assert [path.name for path in cache.iterdir()] == ["new-0123456789abcdef"]


async def test_keys_are_named_and_never_told(tmp_path: Path) -> None:
    ran, found = await look(tmp_path, OPENAI_API_KEY="sk-very-secret", LLAMA_API_KEY=" ")
    assert found["keys"]["said"] == "set: OPENAI_API_KEY"
    assert "very-secret" not in ran.out + ran.err
    _, found = await look(tmp_path)
    assert state(found, "keys") == "missing"


async def test_a_server_that_answers_is_told_with_what_it_offers(tmp_path: Path) -> None:
    async with serving(tmp_path, "one", "two") as server:
        found = await doctor._server(Provider("near", server.base_url, local=True))
        assert (found.state, found.said) == (State.OK, f"{server.base_url} offers 2 chat models")
        other = Provider("odd", f"{server.base_url}/nothing/here", local=True)
        assert (await doctor._server(other)).state is State.WRONG
    gone = await doctor._server(
        Provider("gone", server.base_url, local=True, start_hint="start it")
    )
    assert (gone.state, gone.todo) == (State.MISSING, "start it")
