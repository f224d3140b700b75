"""The address of the engine is the one that Docker's own command line uses."""

import json
import socket
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from llmbench.errors import NoSandboxError
from llmbench.sandboxes.docker import client
from llmbench.sandboxes.docker.endpoints import SOCKETS, find_endpoints

WriteContext = Callable[..., Path]
VARIABLES = "HOST CONTEXT CONFIG CERT_PATH TLS TLS_VERIFY".split()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, without any setting of Docker."""
    for name in VARIABLES:
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


@pytest.fixture
def write_context(home: Path) -> WriteContext:
    """A function that writes a context below a folder, as `docker context create` does."""

    def write(name: str, meta: object, *, below: Path | None = None, current: str = "") -> Path:
        folder = below or home / ".docker"
        stored_as = sha256(name.encode()).hexdigest()
        path = folder / "contexts/meta" / stored_as / "meta.json"
        path.parent.mkdir(parents=True)
        path.write_text(meta if isinstance(meta, str) else json.dumps(meta))
        if current:
            (folder / "config.json").write_text(json.dumps({"currentContext": current}))
        return folder / "contexts/tls" / stored_as / "docker"

    return write


def engine(host: object, **more: object) -> dict[str, object]:
    return {"Endpoints": {"docker": {"Host": host, **more}}}


def addresses() -> list[str]:
    return [str(endpoint) for endpoint in find_endpoints()]


def refusal() -> str:
    with pytest.raises(NoSandboxError) as caught:
        find_endpoints()
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("unix:///run/my docker.sock", "unix:///run/my docker.sock"),
        ("tcp://box:2375", "http://box:2375"),
        ("tcp://box", "http://box:2375"),
        ("tcp://box/", "http://box:2375"),
        ("box:99", "http://box:99"),
        ("tcp://[::1]:99", "http://[::1]:99"),
        ("https://box:443", "https://box:443"),
        (" unix:///a ", "unix:///a"),
    ],
)
def test_an_address_is_accepted_in_the_forms_of_docker(
    monkeypatch: pytest.MonkeyPatch, host: str, address: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert addresses() == [f"{address} (DOCKER_HOST)"]


@pytest.mark.parametrize(
    "host",
    "unix:// unix://run/docker.sock tcp:// tcp://a:b tcp://a:0 tcp://a/path ::: http://[::1 "
    "/run/docker.sock foo://x fd:// tcp://a?b".split(),
)
def test_a_wrong_address_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert refusal().startswith(f"{host} (DOCKER_HOST): not an address of an engine: unset")


@pytest.mark.parametrize(
    ("host", "forward"),
    [
        ("ssh://me@box", "ssh -fnNT -L {s}:/var/run/docker.sock me@box"),
        ("ssh://box:2222", "ssh -fnNT -p 2222 -L {s}:/var/run/docker.sock box"),
    ],
)
def test_ssh_is_refused_with_the_command_that_forwards_the_socket(
    monkeypatch: pytest.MonkeyPatch, host: str, forward: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert forward.format(s="/tmp/llmbench-docker.sock") in refusal()
    assert "DOCKER_HOST=unix:///tmp/llmbench-docker.sock" in refusal()


def test_a_named_pipe_is_refused_with_a_word_on_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "npipe:////./pipe/docker_engine")
    assert "run llmbench in WSL2" in refusal()


def test_the_current_context_is_used(write_context: WriteContext) -> None:
    write_context("mine", engine("unix:///mine.sock"), current="mine")
    assert addresses() == ["unix:///mine.sock (Docker context mine)"]


def test_variables_come_before_the_current_context(
    write_context: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_context("mine", engine("unix:///mine.sock"), current="mine")
    write_context("other", engine("tcp://other:1"))
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert addresses() == ["http://other:1 (Docker context other)"]
    monkeypatch.setenv("DOCKER_HOST", "unix:///host.sock")
    assert addresses() == ["unix:///host.sock (DOCKER_HOST)"]


def test_the_default_context_stands_for_the_common_sockets(
    write_context: WriteContext, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_context("mine", engine("unix:///mine.sock"), current="mine")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert not any("mine" in address for address in addresses())


def test_contexts_are_read_from_the_folder_of_docker_config(
    write_context: WriteContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    write_context("mine", engine("unix:///there.sock"), below=folder, current="mine")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    assert addresses() == ["unix:///there.sock (Docker context mine)"]


@pytest.mark.parametrize(
    "meta",
    ["{", "[]", "null", {}, {"Endpoints": []}, {"Endpoints": {"docker": None}}, engine(""),
     engine(None), engine(7), engine({"a": 1}), "[" * 100_000],
)  # fmt: skip
def test_a_context_without_an_address_is_refused_in_one_line(
    write_context: WriteContext, meta: object
) -> None:
    write_context("mine", meta, current="mine")
    assert "Docker context mine" in refusal()


def test_a_context_that_is_gone_is_refused_with_its_name(home: Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text('{"currentContext": "gone"}')
    assert refusal().startswith("Docker context gone: there is no ")


def test_a_broken_configuration_is_refused_in_one_line(home: Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text("{")
    assert "config.json cannot be read" in refusal()


def test_missing_certificates_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_context: WriteContext
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://box")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "none"))
    (endpoint,) = find_endpoints()
    assert endpoint.url == "https://box:2376"
    with pytest.raises(NoSandboxError, match=r"none: no ca\.pem, cert\.pem, key\.pem: correct"):
        endpoint.ssl_context()
    monkeypatch.delenv("DOCKER_HOST")
    tls = write_context("mine", engine("tcp://box", SkipTLSVerify=True), current="mine")
    tls.mkdir(parents=True)
    (tls / "cert.pem").write_text("no certificate")
    (endpoint,) = find_endpoints()
    with pytest.raises(NoSandboxError, match=r"no ca\.pem, key\.pem"):
        endpoint.ssl_context()


def test_certificates_of_a_context_make_a_connection_of_tls(
    write_context: WriteContext, tmp_path: Path
) -> None:
    tls = write_context("mine", engine("tcp://box"), current="mine")
    tls.mkdir(parents=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=box",
         "-keyout", tls / "key.pem", "-out", tls / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tls / "ca.pem").write_bytes((tls / "cert.pem").read_bytes())
    (endpoint,) = find_endpoints()
    context = endpoint.ssl_context()
    assert endpoint.url == "https://box:2376"
    assert context is not None
    assert context.check_hostname
    (tls / "ca.pem").write_text("no certificate")
    with pytest.raises(NoSandboxError, match="no usable certificates"):
        endpoint.ssl_context()


@pytest.mark.parametrize(
    "place",
    ".docker/run .docker/desktop .orbstack/run .colima/default .rd .lima/box/sock".split(),
)
def test_sockets_of_common_engines_are_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = home / place
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        # The address of a socket has at most 107 bytes.
        monkeypatch.chdir(folder)
        listener.bind("docker.sock")
    assert f"unix://{folder / 'docker.sock'}" in addresses()


def test_a_file_in_the_place_of_a_socket_is_no_engine(home: Path) -> None:
    (home / ".rd").mkdir()
    (home / ".rd/docker.sock").touch()
    assert not any(".rd" in address for address in addresses())


def test_every_pattern_is_absolute_once_its_folders_are_known() -> None:
    folders = {"home": "/h", "runtime": "/r", "temporary": "/t"}
    assert all(pattern.format(**folders).startswith("/") for pattern in SOCKETS)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix:///nowhere.sock", "unix:///nowhere.sock (DOCKER_HOST): start Docker"),
        ("tcp://127.0.0.1:1", "http://127.0.0.1:1 (DOCKER_HOST): start Docker"),
        ("tcp://no-such-host.invalid", "(DOCKER_HOST), "),
    ],
)
async def test_an_engine_that_does_not_answer_is_reported_with_its_setting(
    monkeypatch: pytest.MonkeyPatch, host: str, words: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(NoSandboxError) as caught:
        await client.connect()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
async def test_connections_to_an_engine_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("unix:///a.sock", "tcp://box"):
        monkeypatch.setenv("DOCKER_HOST", host)
        docker = client.open_client(find_endpoints()[0])
        assert docker.connector.limit == 0
        await client.close_client(docker)
