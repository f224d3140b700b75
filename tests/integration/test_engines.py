"""Engines and registries as people have them: without images, behind TLS, of Podman."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import anyio
import pytest
from helpers.certificates import make_certificates
from helpers.cli import environment, run
from helpers.private_engine import NoEngineError, private_engine
from helpers.private_podman import NoPodmanError, private_podman

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

EMPTY_IMAGE = "FROM scratch\nCOPY . /opt/runner\n"


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of a language whose image holds nothing but that folder."""
    folder = tmp_path / "languages" / "own"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(EMPTY_IMAGE)
    (folder / "run.sh").write_text("exit 0\n")
    config = {
        "title": "Own",
        "fences": ["own"],
        "solution": "solution.own",
        "image": f"llmbench-test-own-{os.getpid()}",
        "report": "junit",
        "toolchain": {"sh": None},
    }
    (folder / "runner.yaml").write_text(json.dumps(config))
    (tmp_path / "llmbench.yaml").write_text("runners: [languages]\n")
    return tmp_path


async def listed(folder: Path, env: dict[str, str]) -> str:
    """The line of `llmbench images` about the language of one's own, or the error."""
    ran = await run(folder, "images", "--langs", "own", env=env)
    rows = [line for line in ran.out.splitlines() if line.startswith("own ")]
    return rows[0] if ran.code == 0 else ran.err


async def test_an_engine_behind_tls_is_found_by_variable_and_by_context(
    own: Path, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder, port = make_certificates(tmp_path / "certificates"), free_port()
    tls = [
        *("--tlsverify", "--tlscacert", str(folder / "ca.pem")),
        *("--tlscert", str(folder / "server-cert.pem"), "--tlskey", str(folder / "server-key.pem")),
        *("-H", f"tcp://127.0.0.1:{port}"),
    ]
    try:
        with private_engine(flags=tls):
            host = f"tcp://127.0.0.1:{port}"
            env = environment(DOCKER_HOST=host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(folder))
            built = await run(own, "images", "build", "--langs", "own", env=env)
            assert built.code == 0, built.err
            assert " current " in await listed(own, env)

            config = tmp_path / "docker"
            name = sha256(b"far").hexdigest()
            (config / "contexts/meta" / name).mkdir(parents=True)
            meta = {"Name": "far", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}
            (config / "contexts/meta" / name / "meta.json").write_text(json.dumps(meta))
            shutil.copytree(folder, config / "contexts/tls" / name / "docker")
            by_context = environment(DOCKER_CONFIG=str(config), DOCKER_CONTEXT="far")
            by_context.pop("DOCKER_HOST", None)
            assert " current " in await listed(own, by_context)

            stranger = make_certificates(tmp_path / "strangers")
            refused = await listed(own, {**env, "DOCKER_CERT_PATH": str(stranger)})
            assert refused.startswith("llmbench: no Docker engine answers")
            assert len(refused.splitlines()) == 1
            plain = environment(DOCKER_HOST=host)
            assert len((await listed(own, plain)).splitlines()) == 1
    except NoEngineError as error:
        pytest.skip(str(error))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of a registry on loopback, whose files are temporary."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        pytest.skip("needs a registry (apt install docker-registry)")
    port = free_port()
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    with subprocess.Popen(
        [program, "serve", tmp_path / "registry.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


async def listens(address: str) -> None:
    """Return when something accepts connections at an address."""
    host, _, port = address.partition(":")
    with anyio.fail_after(30):
        while True:
            try:
                async with await anyio.connect_tcp(host, int(port)):
                    return
            except OSError:
                await anyio.sleep(0.05)


async def test_a_fleet_gets_one_image_from_a_registry(own: Path, registry: str) -> None:
    await listens(registry)
    env = environment()
    flags = ["--langs", "own"]
    try:
        early = await run(own, "images", "push", f"{registry}/team", *flags, env=env)
        assert early.code == 1
        assert "no image" in early.err
        assert (await run(own, "images", "build", *flags, env=env)).code == 0
        digest = (await listed(own, env)).split()[3]
        pushed = await run(own, "images", "push", f"{registry}/team", *flags, env=env)
        assert pushed.code == 0, pushed.err
        name = pushed.out.split()[-1]
        assert name.startswith(f"{registry}/team/llmbench-test-own-")
        await anyio.run_process(["docker", "rmi", "--force", name])
        await run(own, "images", "remove", *flags, env=env)
        assert " missing" in await listed(own, env)
        pulled = await run(own, "images", "pull", f"{registry}/team", *flags, env=env)
        assert pulled.code == 0, pulled.err
        assert (await listed(own, env)).split()[2:4] == ["current", digest]

        (own / "languages/own/run.sh").write_text("exit 1\n")
        other = await run(own, "images", "pull", f"{registry}/team", *flags, env=env)
        assert other.code == 1
        assert "not found" in other.err
        assert len(other.err.splitlines()) == 1
        await anyio.run_process(["docker", "rmi", "--force", name])
    finally:
        await run(own, "images", "remove", *flags, env=env)


async def test_podman_builds_an_image(own: Path) -> None:
    try:
        with private_podman() as podman:
            env = environment(DOCKER_HOST=podman.host)
            built = await run(own, "images", "build", "--langs", "own", env=env)
            assert built.code == 0, built.err
            assert "podman --url" in built.err
            assert " current " in await listed(own, env)
    except NoPodmanError as error:
        pytest.skip(str(error))
