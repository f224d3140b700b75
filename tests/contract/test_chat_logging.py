"""Log records of requests, answers, retries and unsupported parameters."""

import json
import logging

import pytest
from helpers.chat import JSON, KEY, MESSAGES, ask, chat_model
from helpers.scripted_server import HELLO, Script, scripted

from llmbench.errors import AttemptError

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

BUSY = Script([json.dumps({"error": {"message": f"slow down, {KEY}"}}).encode()], 429, JSON)
NO_SEED = Script([b'{"error": {"message": "unsupported parameter", "param": "seed"}}'], 400, JSON)
FILTERED = Script([b'{"error": {"message": "no", "code": "content_filter"}}'], 400, JSON)


def own_records(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The messages of this level from llmbench."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("llmbench.models.") and record.levelno == level
    ]


async def test_requests_answers_retries_and_unsupported_parameters_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(BUSY, NO_SEED, Script([HELLO]), key=KEY) as (_, server):
        await ask(chat_model(server, max_tries=2, seed=1), run=3)
        request = f"POST {server.base_url}/chat/completions: model m, run 3"
    debug, info = own_records(caplog, logging.DEBUG), own_records(caplog, logging.INFO)
    assert debug.count(request) == 3
    assert "openrouter/m answered HTTP 429" in debug
    assert any(
        text.startswith("openrouter/m answered HTTP 200 in ")
        and text.endswith(", completion tokens: not reported")
        for text in debug
    )
    retry, unsupported = info
    assert retry.startswith("try 1 failed, retry in ")
    assert retry.endswith(" s: openrouter/m: HTTP 429: slow down, ***")
    assert unsupported == "openrouter/m does not support seed: it is left out"


async def test_no_record_contains_a_key_a_header_or_a_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(BUSY, Script([HELLO]), FILTERED, key=KEY) as (_, server):
        model = chat_model(server, max_tries=2)
        await ask(model)
        with pytest.raises(AttemptError):
            await ask(model)
        await server.aclose()
    assert own_records(caplog, logging.DEBUG)
    secrets = [KEY, "Bearer", *(message.content for message in MESSAGES)]
    for record in caplog.records:
        text = f"{record.getMessage()} {record.args!r} {record.exc_info!r}"
        assert not any(secret in text for secret in secrets)
