"""An HTTP server that sends exactly the bytes of a script, with its pauses."""

import json
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import anyio.abc
from anyio.abc import SocketStream

from llmbench.models.providers import PROVIDERS
from llmbench.models.server import Server, connect
from llmbench.plan import RequestTimeouts

SHORT = RequestTimeouts(connect=2.0, first_token=5.0, between_tokens=5.0, answer=20.0)
EVENTS = "text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class Script:
    """One response: `parts` are sent one by one; a number is a pause in seconds.

    The encoding is chunked unless `chunked` is off. With `cut` the connection closes without the
    last chunk. With `raw` the parts include status line and headers. With `reset` the connection
    ends in a reset, which discards data in flight.
    """

    parts: Sequence[bytes | float] = ()
    status: int = 200
    content_type: str = EVENTS
    headers: Sequence[str] = ()
    cut: bool = False
    raw: bool = False
    chunked: bool = True
    reset: bool = False

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Reason", f"Content-Type: {self.content_type}"]
        lines += ["Transfer-Encoding: chunked"] if self.chunked else ["Connection: close"]
        return "\r\n".join([*lines, *self.headers, "", ""]).encode()


@dataclass
class ScriptedServer:
    """Plays one script per request, the last one for ever; records requests."""

    scripts: list[Script]
    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    disconnected: anyio.Event = field(default_factory=anyio.Event)

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                while await self._answer_one(stream):
                    pass
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass

    def choose(self, _: dict[str, Any]) -> Script:
        """Return the script for a request with this body."""
        return self.scripts[min(len(self.heads), len(self.scripts)) - 1]

    async def _answer_one(self, stream: SocketStream) -> bool:
        head, body = await _read_request(stream)
        self.heads.append(head)
        self.bodies.append(json.loads(body) if body else {})
        script = self.choose(self.bodies[-1])
        try:
            await self._play(stream, script)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.disconnected.set()
            raise
        if script.reset:
            linger = struct.pack("ii", 1, 0)
            sock = stream.extra(anyio.abc.SocketAttribute.raw_socket)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return not (script.reset or script.cut or script.raw or not script.chunked)

    async def _play(self, stream: SocketStream, script: Script) -> None:
        if not script.raw:
            await stream.send(script.head())
        for part in script.parts:
            if isinstance(part, float):
                await self._pause(stream, part)
            elif script.raw or not script.chunked:
                await stream.send(part)
            elif part:
                await stream.send(b"%x\r\n%b\r\n" % (len(part), part))
        if script.chunked and not script.raw and not script.cut:
            await stream.send(b"0\r\n\r\n")

    async def _pause(self, stream: SocketStream, seconds: float) -> None:
        """Wait, and notice a client that disconnects meanwhile."""
        with anyio.move_on_after(seconds):
            try:
                await stream.receive()
            except anyio.EndOfStream:
                raise anyio.BrokenResourceError from None


async def _read_request(stream: SocketStream) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"),
        0,
    )
    while len(body) < length:
        body += await stream.receive()
    return head.decode(), body


@asynccontextmanager
async def scripted(
    *scripts: Script, key: str | None = None, provider: str = "openrouter", **timeouts: float
) -> AsyncIterator[tuple[ScriptedServer, Server]]:
    """Yield a server that plays the scripts, and a client of it."""
    server = ScriptedServer(list(scripts))
    async with serving(server, replace(SHORT, **timeouts), key, provider) as client:
        yield server, client


@asynccontextmanager
async def serving(
    server: ScriptedServer,
    timeouts: RequestTimeouts,
    key: str | None = None,
    provider: str = "openrouter",
) -> AsyncIterator[Server]:
    """Run a server and yield a client of it."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    server.base_url = f"http://127.0.0.1:{port}/v1"
    failure = None
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.handle)
        try:
            async with connect(PROVIDERS[provider], server.base_url, key, timeouts) as client:
                yield client
        except Exception as error:  # raised below, because the task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


def chunk(content: Any = None, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    if content is not None:
        delta["content"] = content
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "model": "served-model", "choices": [choice]}


def event(data: Any) -> bytes:
    """An event as most servers write it."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def events(*chunks: Any, done: bool = True) -> bytes:
    """A whole stream."""
    return b"".join(map(event, chunks)) + (b"data: [DONE]\n\n" if done else b"")


HELLO = events(chunk("", role="assistant"), chunk("Hello"), chunk(" world"), chunk(None, "stop"))
