"""Processor time of the client per streamed chunk, and the error of its time to first token.

python scripts/benchmarks/streams.py [STREAMS …]

A server in a process of its own streams the same answers to bare aiohttp, bare httpx, OpenAI's
client and llmbench. Each client runs in a fresh process, one after the other, in several rounds;
the best round is printed. The error is the time to first token measured by the client, less the
time from the request's arrival at the server to the first token's departure. OpenAI's client is
run if this interpreter, or the one named in OPENAI_PYTHON, has it.
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
"""Sends a request; returns the client's seconds to the first token, the server's, and chunks."""


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
    """Measure every client with this many streams at once, and print a line for each."""
    rate = CHUNKS_PER_SECOND.get(streams, USUAL_RATE)
    command = [sys.executable, __file__, "serve", str(rate)]
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{server.stdout.readline().removeprefix(PORT_LINE).strip()}/v1"
        try:
            for _ in range(ROUNDS):
                for name in CLIENTS:
                    figures[name] += measure(name, url, streams)
        finally:
            server.kill()
    print(f"{streams} streams, {rate:g} chunks/s each, {CHUNKS} chunks, best of {ROUNDS} rounds")
    print(
        f"{'client':16} {'CPU µs/chunk':>12} {'ratio':>6} {'TTFT error ms: median':>22} {'p99':>7}"
    )
    bare = min(figure["cpu"] for figure in figures["aiohttp"])
    for name, rounds in figures.items():
        if not rounds:
            print(f"{name:16} not installed")
            continue
        best = min(rounds, key=lambda f: f["cpu"])
        errors = f"{best['median'] * 1e3:22.2f} {best['p99'] * 1e3:7.2f}"
        print(f"{name:16} {best['cpu'] * 1e6:12.1f} {best['cpu'] / bare:6.2f} {errors}", flush=True)


def measure(name: str, url: str, streams: int) -> list[dict[str, float]]:
    """The figures of one client in a fresh process; none if it is not installed."""
    python = os.environ.get("OPENAI_PYTHON", sys.executable) if name == "openai" else sys.executable
    command = [python, __file__, "ask", name, url, str(streams)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        if name == "openai" and "ModuleNotFoundError" in done.stderr:
            return []
        raise SystemExit(done.stderr)
    figure: dict[str, float] = json.loads(done.stdout)
    return [figure]


async def ask_all(name: str, url: str, streams: int) -> None:
    """Read this many streams; print processor time per chunk and errors of the first token."""
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
    number: int, answer: Awaitable[tuple[float, float, int]]
) -> tuple[float, float, int]:
    """Wait for an answer after a pause: in a run, slots do not become free all at once."""
    await asyncio.sleep(number * APART_SECONDS)
    return await answer


def body() -> dict[str, Any]:
    """The request of every client."""
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


def server_seconds(text: str) -> float:
    """The seconds that the server took for the first token, which is their text."""
    return float(text.split(maxsplit=1)[0])


def use_aiohttp(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """Lines, JSON, text: the minimum of any client."""
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


def use_httpx(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
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


def use_openai(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The client of OpenAI."""
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


def use_llmbench(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The model of llmbench, with all that a run does for an answer."""
    from llmbench.models.chat import ChatModel
    from llmbench.models.providers import PROVIDERS
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
    "aiohttp": use_aiohttp,
    "httpx": use_httpx,
    "openai": use_openai,
    "llmbench": use_llmbench,
}


async def serve(rate: float) -> None:
    """Stream to every client; each chunk holds one word, the first the server's own seconds."""
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
    data = {
        "id": "chatcmpl-0",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(data).encode() + b"\n\n"


if __name__ == "__main__":
    raise SystemExit(main())
