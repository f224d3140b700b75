"""Failures of a server: their class, their message and the reaction to them."""

import gc
import json
import socket
import sys
import time

import anyio
import anyio.abc
import pytest
from helpers.chat import JSON, KEY, MESSAGES, answer_to, ask, chat_model, no_wait
from helpers.scripted_server import HELLO, Script, chunk, event, events, scripted

from llmbench.errors import AttemptError, ModelError, TargetError, TransientError, UnreachableError
from llmbench.models.chat import ChatModel
from llmbench.models.providers import PROVIDERS
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import connect
from llmbench.plan import RequestTimeouts

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        (Script([b"{}"], 401, JSON), TargetError, "check OPENROUTER_API_KEY"),
        (Script([b"no"], 429, headers=["Retry-After: 7"]), TransientError, "HTTP 429: no"),
        (Script([b"<title>Bad Gateway</title>"], 502), TransientError, "Bad Gateway"),
        (Script([HELLO[:120]], cut=True), TransientError, "broke"),
        (Script([events(chunk("Hel"), done=False)]), TransientError, "ended before the answer"),
        (Script([]), TransientError, "sent an empty stream: its own log may say why"),
        (Script([b"data: [DONE]\n\n"]), TransientError, "sent no answer"),
        (Script([b"HTTP/1.1 200 OK\r\nContent-Le"], raw=True), TransientError, "without an answer"),
        (Script([b"SSH-2.0-OpenSSH\r\n\r\n"], raw=True), TransientError, "broke"),
        (Script([b""], raw=True), TransientError, "without an answer"),
        (Script([events(chunk("x", "error"))]), TransientError, "finish_reason error"),
        (
            Script([events(chunk("x", "insufficient_system_resource"))]),
            TransientError,
            "finish_reason insufficient_system_resource",
        ),
        (Script([events(chunk("x", "content_filter"))]), AttemptError, "withheld"),
        (Script([events(chunk("x", "PROHIBITED_CONTENT"))]), AttemptError, "withheld"),
        (
            Script([events(chunk("x"), {"error": {"code": 502, "message": "down"}})]),
            TransientError,
            "error 502: down",
        ),
        (
            Script([events({"error": {"code": "context_length_exceeded", "message": "long"}})]),
            AttemptError,
            "allow a longer context",
        ),
        (
            Script([events(chunk("x"), {"object": "error", "code": 500, "message": "CUDA"})]),
            TransientError,
            "error 500: CUDA",
        ),
        (
            Script([event(chunk("x")), b'error: {"code": 400, "message": "context size"}\n\n']),
            AttemptError,
            "error 400: context size",
        ),
        (Script([b'{"error": "Model not loaded"}'], 200, JSON), TransientError, "not loaded"),
        (
            Script([b'{"status": "ok"}'], 200, JSON),
            TargetError,
            "sent JSON, which is no chat completion: check --base-url",
        ),
        (Script([b"<html>Hi</html>"], 200, "text/html"), TargetError, "sent a web page"),
        (Script([b"data: [1, 2]\n\n"]), TransientError, "no chat completion chunk"),
        (Script([b'data: {"choices": 3}\n\n']), TransientError, "no chat completion chunk"),
        (Script([b"data: {oh\n\n"]), TransientError, "no chat completion chunk: {oh"),
        (Script([b"data: \xff\n\n"]), TransientError, "no chat completion chunk"),
        (Script([b"junk"], headers=["Content-Encoding: gzip"]), TransientError, "broke"),
        (Script([b""], 302, headers=["Location: https://else.example/v1"]), TargetError, "else."),
        (Script([event(chunk("x")), 5.0]), TransientError, "no further token for 0.2 s"),
        (Script([5.0]), TransientError, "no token within 0.3 s"),
    ],
)
async def test_each_failure_is_classified_and_reported_in_one_line_without_the_key(
    script: Script, kind: type[ModelError], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(ModelError) as caught:
        await answer_to(script, key=KEY, first_token=0.3, between_tokens=0.2)
    error = caught.value
    assert type(error) is kind
    assert text in str(error)
    assert "openrouter/m" in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 400
    cause: BaseException | None = error
    while cause is not None:
        assert KEY not in f"{cause} {cause!r}"
        cause = cause.__cause__ or cause.__context__
    assert KEY not in caplog.text


async def test_a_key_in_a_servers_error_is_redacted() -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}}).encode()
    for script in (
        Script([body], 401, JSON),
        Script([body], 500, JSON),
        Script([b"data: " + body + b"\n\n"]),
        Script([f"data: {KEY}\n\n".encode()]),
        Script([f"HTTP/1.1 {KEY}\r\n\r\n".encode()], raw=True),
    ):
        async with scripted(script, key=KEY) as (_, server):
            model = chat_model(server)
            with pytest.raises(ModelError) as caught:
                await ask(model)
            assert KEY not in f"{caught.value} {caught.value!r} {server!r} {model!r}"
            assert KEY not in repr(vars(model))
            assert KEY not in repr(server.client.headers)


async def test_retry_after_reaches_the_retry() -> None:
    with pytest.raises(TransientError) as caught:
        await answer_to(Script([b""], 503, headers=["Retry-After: 7"]))
    assert caught.value.retry_after == 7


async def test_keep_alive_comments_do_not_extend_a_time_limit() -> None:
    alive: list[bytes | float] = [b": OPENROUTER PROCESSING\n\n", 0.05] * 40
    with anyio.fail_after(1.5), pytest.raises(TransientError, match=r"no token within 0\.3 s"):
        await answer_to(Script(alive), first_token=0.3)
    with anyio.fail_after(1.5), pytest.raises(TransientError, match=r"token for 0\.3 s"):
        await answer_to(Script([event(chunk("x")), *alive]), between_tokens=0.3)


async def test_a_first_token_may_take_longer_than_any_other() -> None:
    completion = await answer_to(Script([0.5, HELLO]), first_token=2.0, between_tokens=0.1)
    assert completion.text == "Hello world"


async def test_an_endless_answer_is_ended_and_not_retried() -> None:
    endless: list[bytes | float] = [event(chunk("x")), 0.02] * 200
    async with scripted(Script(endless), answer=0.4) as (server, client):
        with anyio.fail_after(1.5), pytest.raises(AttemptError, match=r"--answer-timeout"):
            await ask(chat_model(client, max_tries=3))
        with anyio.fail_after(1):
            await server.disconnected.wait()
    assert len(server.bodies) == 1


async def test_an_answer_with_a_finish_reason_is_whole_even_if_its_stream_stays_open() -> None:
    script = Script([events(chunk("x"), chunk(None, "stop"), done=False), 5.0])
    completion = await answer_to(script, between_tokens=0.2)
    assert (completion.text, completion.finish_reason) == ("x", "stop")
    assert completion.llm_seconds < 0.15  # without the wait for an end that never came


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", ["X-RateLimit-Remaining-Requests: 0", "X-RateLimit-Reset-Requests: 1m30s"]),
        (
            b'{"error": {"code": 429, "message": "slow down",'
            b' "metadata": {"headers": {"X-RateLimit-Reset": "90"}}}}',
            [],
        ),
        (
            b'[{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",'
            b' "details": [{"@type": "Help"}, {"@type": "RetryInfo", "retryDelay": "90s"}]}}]',
            [],
        ),
    ],
)
async def test_the_reset_of_a_rate_limit_reaches_the_retry(body: bytes, headers: list[str]) -> None:
    with pytest.raises(TransientError) as caught:
        await answer_to(Script([body], 429, JSON, headers))
    assert caught.value.retry_after == 90


async def test_a_stream_that_breaks_after_its_first_token_is_retried_and_counted() -> None:
    dying = Script([event(chunk("Hel")), 0.3], cut=True)
    completion = await answer_to(dying, dying, Script([HELLO]), max_tries=5)
    assert completion.text == "Hello world"
    assert completion.requests == 3
    assert completion.llm_seconds < 0.3  # of the last try alone


async def test_when_every_try_fails_the_error_has_the_number_of_tries() -> None:
    with pytest.raises(TransientError, match=r"HTTP 503.*\(after 3 tries\)"):
        await answer_to(Script([b""], 503), max_tries=3)


async def test_a_target_is_stopped_after_a_long_outage() -> None:
    down, up, filtered = Script([b""], 503), Script([HELLO]), Script([b"flagged"], 400)
    scripts = [down, down, up, down, down, filtered, down, down, down]
    async with scripted(*scripts) as (_, server):
        retry = RetryPolicy(1, sleep=no_wait, outage_attempts=3, outage_seconds=0.05)
        model = ChatModel(chat_model(server).target, server, retry)
        errors = []
        for script in scripts:
            try:
                await anyio.sleep(0.03)
                await ask(model)
            except ModelError as error:
                errors.append(type(error))
                last = error
            else:
                assert script is up
    assert errors == [TransientError] * 4 + [AttemptError] + [TransientError] * 2 + [TargetError]
    assert str(last).endswith("HTTP 503; no answer for 0 minutes: continue later with --resume")
    assert str(last) == f"openrouter/m: {last.reason}"
    assert last.hint == "continue later with --resume"
    assert last.requests == 1


async def test_a_short_outage_does_not_stop_a_target() -> None:
    async with scripted(Script([b""], 503)) as (_, server):
        retry = RetryPolicy(1, sleep=no_wait, outage_attempts=3, outage_seconds=60)
        model = ChatModel(chat_model(server).target, server, retry)
        for _ in range(9):
            with pytest.raises(TransientError):
                await ask(model)


async def test_the_slot_is_free_while_a_retry_waits() -> None:
    slot = anyio.Semaphore(1)
    free_slots = []

    async def wait(_: float) -> None:
        free_slots.append(slot.value)

    async with scripted(Script([b""], 503), Script([HELLO])) as (_, server):
        model = ChatModel(chat_model(server).target, server, RetryPolicy(sleep=wait))
        await model.complete(MESSAGES, run=1, slot=slot)
    assert free_slots == [1]


async def test_a_cancelled_stream_closes_its_connection() -> None:
    slot = anyio.Semaphore(1)
    async with scripted(Script([event(chunk("Hel")), 30.0, HELLO])) as (wire, server):
        model = chat_model(server, max_tries=5)
        with anyio.move_on_after(0.2) as scope:
            await model.complete(MESSAGES, run=1, slot=slot)
        assert scope.cancelled_caught
        assert slot.value == 1
        with anyio.fail_after(1):
            await wire.disconnected.wait()
        assert len(wire.heads) == 1
    gc.collect()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_an_unreachable_server_is_reported_in_one_line_within_a_second(
    closed_port: int,
) -> None:
    url = f"http://localhost:{closed_port}/v1"
    began = time.perf_counter()
    async with connect(PROVIDERS["lmstudio"], url) as server:
        with pytest.raises(UnreachableError) as caught:
            await server.list_models()
        with pytest.raises(UnreachableError, match=f"cannot reach {url}"):
            await ask(chat_model(server))
    async with connect(PROVIDERS["ollama"], "http://nowhere.invalid:1/v1") as server:
        with pytest.raises(
            UnreachableError, match=r"cannot reach .* \(no such host\): check --base-"
        ):
            await server.list_models()
    hint = "start LM Studio's server (Developer tab), or give --base-url"
    assert str(caught.value) == f"cannot reach {url}: {hint}"
    assert caught.value.hint == hint
    assert time.perf_counter() - began < 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue takes more")
async def test_the_connect_timeout_bounds_the_wait_for_a_server_with_a_full_queue() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # its queue is full now
            began = time.perf_counter()
            timeouts = RequestTimeouts(connect=0.2, first_token=30.0)
            async with connect(
                PROVIDERS["vllm"], f"http://127.0.0.1:{port}", timeouts=timeouts
            ) as server:
                with pytest.raises(UnreachableError, match=r"cannot reach .*: start vLLM"):
                    await ask(chat_model(server))
            assert time.perf_counter() - began < 5


async def test_an_untrusted_connection_stops_the_target() -> None:
    async def answer_without_tls(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer_without_tls)
        async with connect(PROVIDERS["openai"], f"https://127.0.0.1:{port}", KEY) as server:
            with pytest.raises(TargetError, match=r"no trusted connection.*check --base-url"):
                await ask(chat_model(server))
        tasks.cancel_scope.cancel()


async def test_the_error_of_a_local_server_that_requires_a_key_names_the_way_to_set_one() -> None:
    with pytest.raises(TargetError, match="set OPENAI_COMPATIBLE_API_KEY and use --provider"):
        await answer_to(Script([b"{}"], 401, JSON), provider="ollama")


async def test_no_proxy_is_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await answer_to(Script([HELLO]))).text == "Hello world"
