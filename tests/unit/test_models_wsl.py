"""Servers on Windows are found from WSL2, and llmbench says which address answered."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest

from llmbench import cli
from llmbench.cli.doctor import check_server
from llmbench.models import wsl
from llmbench.models.providers import PROVIDERS
from llmbench.sandboxes.diagnostics import State

pytestmark = pytest.mark.anyio

WSL2 = "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@x) (gcc 11.2.0) #1 SMP\n"
HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
LOCAL_ROUTE = "eth0\t000010AC\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n"
GATEWAY = "127.0.0.2"


def default_route(gateway: str) -> str:
    packed = socket.inet_aton(gateway)[::-1].hex().upper()
    return f"eth0\t00000000\t{packed}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


@pytest.fixture
def wsl2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for /proc/version and the routes of WSL2; the folder that holds them."""
    (tmp_path / "version").write_text(WSL2)
    (tmp_path / "route").write_text(HEADER + LOCAL_ROUTE + default_route(GATEWAY))
    monkeypatch.setattr(wsl, "VERSION", tmp_path / "version")
    monkeypatch.setattr(wsl, "ROUTES", tmp_path / "route")
    return tmp_path


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[int]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen()
        yield server.getsockname()[1]


async def test_the_windows_host_is_the_default_gateway(wsl2: Path) -> None:
    assert wsl.windows_host() == GATEWAY
    (wsl2 / "route").write_text(HEADER + default_route("172.28.112.1"))
    assert wsl.windows_host() == "172.28.112.1"


@pytest.mark.parametrize("routes", ["", HEADER, HEADER + LOCAL_ROUTE, "odd\nlines here\n"])
async def test_without_a_gateway_there_is_no_windows_host(wsl2: Path, routes: str) -> None:
    (wsl2 / "route").write_text(routes)
    assert wsl.windows_host() is None


async def test_other_systems_have_no_windows_host(wsl2: Path) -> None:
    (wsl2 / "version").write_text("Linux version 6.12.48+deb13-amd64 (debian)\n")
    assert wsl.windows_host() is None
    (wsl2 / "version").unlink()
    assert wsl.windows_host() is None


async def test_a_server_on_windows_is_used_and_reported(wsl2: Path) -> None:
    notes: list[str] = []
    with listening(GATEWAY) as port:
        url = f"http://127.0.0.1:{port}/v1"
        provider, address = await wsl.locate(PROVIDERS["lmstudio"], url, notes.append)
    assert provider == PROVIDERS["lmstudio"]
    assert address == f"http://{GATEWAY}:{port}/v1"
    assert notes == [f"{url} does not answer; using {address}, the Windows host of this WSL2"]


async def test_a_server_that_answers_here_is_used_without_a_word(wsl2: Path) -> None:
    notes: list[str] = []
    with listening("127.0.0.1") as port, listening(GATEWAY, port):
        url = f"http://localhost:{port}/v1"
        assert (await wsl.locate(PROVIDERS["ollama"], url, notes.append))[1] == url
    assert notes == []


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("lmstudio", 'turn on "Serve on Local Network" in LM Studio'),
        ("ollama", "set OLLAMA_HOST=0.0.0.0"),
        ("vllm", "let it listen on all addresses (0.0.0.0)"),
    ],
)
async def test_if_no_address_answers_the_hint_says_what_to_set(
    wsl2: Path, name: str, setting: str
) -> None:
    url = "http://localhost:1/v1"
    provider, address = await wsl.locate(PROVIDERS[name], url, print)
    assert address == url
    assert provider.start_hint.startswith(PROVIDERS[name].start_hint)
    assert provider.start_hint.endswith(
        f"(neither {url} nor http://{GATEWAY}:1/v1 answers in WSL2): {setting}, "
        "or set networkingMode=mirrored in .wslconfig"
    )


async def test_an_address_of_another_machine_is_left_alone(wsl2: Path) -> None:
    url = "http://192.0.2.1:1234/v1"
    with anyio.fail_after(0.5):
        assert (await wsl.locate(PROVIDERS["lmstudio"], url, print))[1] == url


class OneModel(BaseHTTPRequestHandler):
    """Offers one model, whatever is requested."""

    def do_GET(self) -> None:
        body = b'{"data": [{"id": "qwen"}]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def windows_port(wsl2: Path) -> Iterator[int]:
    """The port of a server on the Windows host, which is another than this machine's."""
    with ThreadingHTTPServer((GATEWAY, 0), OneModel) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_models_of_a_server_on_windows_are_listed(
    windows_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://localhost:{windows_port}/v1"
    assert cli.main(["models", "--base-url", url]) == 0
    printed = capsys.readouterr()
    assert "qwen" in printed.out
    there = f"http://{GATEWAY}:{windows_port}/v1"
    note = f"{url} does not answer; using {there}, the Windows host of this WSL2"
    assert note in printed.out + printed.err


async def test_doctor_reports_the_address_that_answered(windows_port: int) -> None:
    url = f"http://localhost:{windows_port}/v1"
    finding = await check_server(replace(PROVIDERS["lmstudio"], base_url=url))
    assert finding.state is State.OK
    assert f"http://{GATEWAY}:{windows_port}/v1 offers 1 chat model" in finding.detail
    assert f"{url} does not answer" in finding.detail


async def test_doctor_reports_what_to_set_if_no_address_answers(wsl2: Path) -> None:
    finding = await check_server(replace(PROVIDERS["lmstudio"], base_url="http://localhost:1/v1"))
    assert finding.state is State.MISSING
    assert 'turn on "Serve on Local Network" in LM Studio' in (finding.fix or "")
