"""Processor time of the client per streamed chunk, and the error of its time to first token.

python scripts/benchmarks/streams.py [STREAMS …]

A server in a process of its own streams the same answers to bare aiohttp, bare httpx, OpenAI's
client and llmbench, each in a fresh process, one after the other, in several rounds; the least of
the rounds is shown. The error is the time to first token as the client has it, less the time from
the request's arrival at the server to the first token's departure. OpenAI's client is run where
this interpreter, or the one that OPENAI_PYTHON names, has it.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

ROUNDS = 3
CHUNKS = 200
CHUNKS_PER_SECOND = {64: 25.0, 512: 8.0}
USUAL_RATE = 8.0
FIRST_SECONDS = 0.3
APART_SECONDS = 0.01
PORT_LINE = "port "

Ask = Callable[[str], Awaitable[tuple[float, float, int]]]
"""Asks once: seconds to the first token by its own clock, those of the server, chunks."""


def main() -> int:
    """Print a table for each number of streams."""
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(float(sys.argv[2])))
        return 0
    if sys.argv[1:2] == ["ask"]:
        asyncio.run(ask_all(sys.argv[2], sys.argv[3], int(sys.argv[4])))
        return 0
    for streams in [int(word) for word in sys.argv[1:]] or list(CHUNKS_PER_SECOND):
        table(streams)
    return 0


def table(streams: int) -> None:
    """Measure every client with so many streams at once, and print a line for each."""
    rate = CHUNKS_PER_SECOND.get(streams, USUAL_RATE)
    command = [sys.executable, __file__, "serve", str(rate)]
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().removeprefix(PORT_LINE).strip()}/v1"
        try:
            for _ in range(ROUNDS):
                for name in CLIENTS:
                    figures[name] += measured(name, url, streams)
        finally:
            server.kill()
    print(f"{streams} streams, {rate:g} chunks/s each, {CHUNKS} chunks, best of {ROUNDS} rounds")
    print(
        f"{'client':16} {'CPU µs/chunk':>12} {'ratio':>6} {'TTFT error ms: median':>22} {'p99':>7}"
    )
    bare = min(found["cpu"] for found in figures["aiohttp"])
    for name, found in figures.items():
        if not found:
            print(f"{name:16} not installed")
            continue
        best = min(found, key=lambda f: f["cpu"])
        errors = f"{best['median'] * 1e3:22.2f} {best['p99'] * 1e3:7.2f}"
        print(f"{name:16} {best['cpu'] * 1e6:12.1f} {best['cpu'] / bare:6.2f} {errors}", flush=True)


def measured(name: str, url: str, streams: int) -> list[dict[str, float]]:
    """The figures of one client in a fresh process; none where it is not installed."""
    python = os.environ.get("OPENAI_PYTHON", sys.executable) if name == "openai" else sys.executable
    command = [python, __file__, "ask", name, url, str(streams)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        if name == "openai" and "ModuleNotFoundError" in done.stderr:
            return []
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return [found]


async def ask_all(name: str, url: str, streams: int) -> None:
    """Ask so often at once; print processor time per chunk and the errors of the first token."""
    async with asyncio.timeout(300):
        ask, close = CLIENTS[name](url)
        await ask(url)  # imports, connections, caches
        began = time.process_time()
        answers = await asyncio.gather(*(later(n, ask(url)) for n in range(streams)))
        cpu = time.process_time() - began
        await close()
    assert all(chunks == CHUNKS for _, _, chunks in answers), "an answer is not whole"
    errors = sorted(own - servers for own, servers, _ in answers)
    figures = {
        "cpu": cpu / (CHUNKS * streams),
        "median": statistics.median(errors),
        "p99": errors[int(len(errors) * 0.99)],
    }
    print(json.dumps(figures))


async def later(
    number: int, asked: Awaitable[tuple[float, float, int]]
) -> tuple[float, float, int]:
    """Ask in turn, as slots become free in a run: not all in the same moment."""
    await asyncio.sleep(number * APART_SECONDS)
    return await asked


def body() -> dict[str, Any]:
    """What every client sends."""
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def server_seconds(text: str) -> float:
    """What the first token says: how long the server took for it."""
    return float(text.split(maxsplit=1)[0])


def of_aiohttp(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """Lines, JSON, text: the least that any client must do."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ask(url: str) -> tuple[float, float, int]:
        began, first, texts = time.perf_counter(), 0.0, []
        async with session.post(f"{url}/chat/completions", json=body()) as response:
            async for line in response.content:
                if not line.startswith(b"data: {"):
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        first = first or time.perf_counter()
                        texts.append(text)
        return first - began, server_seconds("".join(texts)), len(texts)

    return ask, session.close


def of_httpx(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The same over httpx with its own transport."""
    import httpx

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=300)

    async def ask(url: str) -> tuple[float, float, int]:
        began, first, texts = time.perf_counter(), 0.0, []
        async with client.stream("POST", f"{url}/chat/completions", json=body()) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                for choice in json.loads(line[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        first = first or time.perf_counter()
                        texts.append(text)
        return first - began, server_seconds("".join(texts)), len(texts)

    return ask, client.aclose


def of_openai(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """OpenAI's own client."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key="any", timeout=300, max_retries=0)

    async def ask(_: str) -> tuple[float, float, int]:
        began, first, texts = time.perf_counter(), 0.0, []
        messages: Any = body()["messages"]
        stream = await client.chat.completions.create(model="m", messages=messages, stream=True)
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content:
                    first = first or time.perf_counter()
                    texts.append(choice.delta.content)
        return first - began, server_seconds("".join(texts)), len(texts)

    return ask, client.close


def of_llmbench(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """All that a run does for an answer."""
    from llmbench.models.chat import ChatModel
    from llmbench.models.presets import PROVIDERS
    from llmbench.models.server import connect
    from llmbench.records import Message, Sampling, Target

    server = connect(PROVIDERS["openrouter"], url)
    model = ChatModel(Target("openrouter", "m", url, Sampling(4096)), server)

    async def ask(_: str) -> tuple[float, float, int]:
        slot = nullcontext()
        answer = await model.complete([Message("user", "Hi")], run=1, slot=slot)
        assert answer.ttft_seconds is not None
        return answer.ttft_seconds, server_seconds(answer.text), len(answer.text.split())

    return ask, server.aclose


CLIENTS = {
    "aiohttp": of_aiohttp,
    "httpx": of_httpx,
    "openai": of_openai,
    "llmbench": of_llmbench,
}


async def serve(rate: float) -> None:
    """Stream to whoever asks; each chunk holds one word, the first the server's own seconds."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.StreamResponse:
        arrived = time.perf_counter()
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        due = arrived + FIRST_SECONDS
        for number in range(CHUNKS):
            await asyncio.sleep(due - time.perf_counter())
            text = "word " if number else f"{time.perf_counter() - arrived:.6f} "
            await response.write(chunk(text, None))
            due += 1 / rate
        await response.write(chunk("", "stop") + b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    port = runner.addresses[0][1]
    print(f"{PORT_LINE}{port}", flush=True)
    await asyncio.sleep(86400)


def chunk(text: str, finish_reason: str | None) -> bytes:
    """One event as OpenAI sends it."""
    told = {
        "id": "chatcmpl-0",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(told).encode() + b"\n\n"


if __name__ == "__main__":
    raise SystemExit(main())
