"""A chat completions server on loopback that replays recorded answers.

It serves `--provider demo`. Its answers pass through the same HTTP streaming as those of a model;
only the model is missing. Any client of the protocol can use it.
"""

import json
import logging
import re
import textwrap
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from aiohttp import web
from pydantic import Field, TypeAdapter

from llmbench import yaml_files
from llmbench.errors import UsageError
from llmbench.records import Problem

logger = logging.getLogger(__name__)

RECORDINGS = Path(__file__).parent / "recordings"
"""Folder of the recordings that come with llmbench, one YAML file per model."""

UNKNOWN = "There is no recorded answer for this problem, and no model behind this server."

TICK_SECONDS = 0.02
"""Tokens due within one tick are written together, because a write costs more than they do."""

_TOKEN = re.compile(r"\s*\S{1,4}|\s+")
_PLACEHOLDER = re.compile(r"(^[ \t]+)?\{\{(reference|wrong:[^{}]+)\}\}", re.MULTILINE)

RequestKey = tuple[str, str | None, int | None, int]
"""Model, problem id, seed, and round (1 for a first answer)."""


def split_tokens(text: str) -> list[str]:
    """Split a text into pieces of up to four visible characters with the spaces before them.

    It stands for a tokenizer: four characters per token is the rule of thumb for English. The
    joined pieces are the text.
    """
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class RecordedAnswer:
    """One recorded answer, and the answers of later rounds (repairs); the last one is repeated."""

    text: str
    finish_reason: Literal["stop", "length"] = "stop"
    reasoning: str = ""
    repairs: tuple["RecordedAnswer", ...] = ()

    def filled(self, problem: Problem) -> "RecordedAnswer":
        """Return the answer with the problem's solutions in place of its placeholders."""
        repairs = tuple(repair.filled(problem) for repair in self.repairs)
        return replace(self, text=_fill(self.text, problem), repairs=repairs)

    def in_round(self, number: int) -> "RecordedAnswer":
        """Return the answer of a round, 1 being the first."""
        return (self, *self.repairs)[:number][-1]


@dataclass(frozen=True)
class Recording:
    """The recorded answers of one model by problem id; the pace is that of one stream."""

    model: str
    description: str
    tokens_per_second: Annotated[float, Field(gt=0)]
    ttft_seconds: Annotated[float, Field(ge=0)]
    answers: Mapping[str, Sequence[RecordedAnswer]] = field(default_factory=dict)


_RECORDING = TypeAdapter(Recording)


def load_recordings(folder: Path, problems: Sequence[Problem]) -> dict[str, Recording]:
    """Load the recordings of a folder by model, with placeholders filled from the problems.

    Answers to other problems are omitted.

    Raises:
        UsageError: A file is no recording, or uses a solution that its problem does not have.
    """
    by_id = {problem.id: problem for problem in problems}
    recordings = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            recording = yaml_files.load_as(path, _RECORDING)
            answers = {
                id_: tuple(answer.filled(by_id[id_]) for answer in answers)
                for id_, answers in recording.answers.items()
                if id_ in by_id
            }
        except LookupError as error:
            raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
        recordings[recording.model] = replace(recording, answers=answers)
    if not recordings:
        raise UsageError(f"{folder}: it has no recorded answers")
    return recordings


def _fill(text: str, problem: Problem) -> str:
    """Replace placeholders by the problem's solutions, indented like the placeholder."""

    def solution(match: re.Match[str]) -> str:
        kind, _, name = match[2].partition(":")
        code = problem.wrong_answers.get(name) if kind == "wrong" else problem.reference
        if code is None:
            raise LookupError(f"{problem.id} has nothing for {{{{{match[2]}}}}}")
        return textwrap.indent(code.rstrip("\n"), match[1] or "")

    return _PLACEHOLDER.sub(solution, text)


@dataclass(frozen=True, slots=True)
class _Reply:
    """The reply to one request, as tokens."""

    id: str
    model: str
    reasoning: Sequence[str]
    content: Sequence[str]
    finish_reason: str
    prompt_tokens: int

    def usage(self) -> dict[str, Any]:
        completion = len(self.reasoning) + len(self.content)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "completion_tokens_details": {"reasoning_tokens": len(self.reasoning)},
        }

    def completion(self) -> dict[str, Any]:
        """Return the reply to a request that does not stream."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.content)}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return self._object("chat.completion", [choice], usage=self.usage())

    def first_chunk(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": ""})

    def token_chunks(self) -> Iterator[dict[str, Any]]:
        """Return a chunk for each token."""
        for kind, tokens in (("reasoning_content", self.reasoning), ("content", self.content)):
            for token in tokens:
                yield self._chunk({kind: token})

    def last_chunk(self) -> dict[str, Any]:
        return self._chunk({}, self.finish_reason)

    def usage_chunk(self) -> dict[str, Any]:
        return self._object("chat.completion.chunk", [], usage=self.usage())

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._object("chat.completion.chunk", [choice])

    def _object(self, kind: str, choices: list[Any], **fields: Any) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": int(time.time()), "model": self.model}
        return {**head, "choices": choices, **fields}


@dataclass(frozen=True, slots=True)
class _Message:
    role: str
    text: str


class ReplayServer:
    """Answers requests from recordings; `requests` counts them by `RequestKey`.

    If the messages contain earlier answers to the problem, the request is for a repair: its round
    is one more than their number. `pace` multiplies all recorded times; 0 is as fast as possible.
    """

    def __init__(
        self, problems: Sequence[Problem], recordings: Mapping[str, Recording], pace: float
    ) -> None:
        self.base_url = ""
        self.models = tuple(recordings)
        self.requests: Counter[RequestKey] = Counter()
        self._recordings = recordings
        self._pace = pace
        # Longest first, because a prompt can contain another one.
        prompts = [(problem.prompt.strip(), problem.id) for problem in problems]
        self._prompts = sorted(prompts, key=lambda pair: len(pair[0]), reverse=True)

    def application(self) -> web.Application:
        """Return an application with the routes of the protocol."""
        app = web.Application(client_max_size=16 * 1024**2)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_post("/v1/chat/completions", self._complete)
        return app

    async def _list_models(self, _request: web.Request) -> web.Response:
        data = [
            {"id": r.model, "object": "model", "owned_by": "llmbench", "description": r.description}
            for r in self._recordings.values()
        ]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
            recording = self._recordings.get(body["model"])
            messages = [_Message(str(m["role"]), _text(m["content"])) for m in body["messages"]]
        except (ValueError, LookupError, TypeError):
            messages = []
        if not any(message.role == "user" for message in messages):
            return _error(400, "the request is no chat completion request", "invalid_request")
        if recording is None:
            message = f"The model '{body['model']}' does not exist"
            return _error(404, message, "model_not_found")
        reply = self._reply(recording, body, messages)
        if not body.get("stream"):
            tokens = len(reply.reasoning) + len(reply.content)
            await anyio.sleep(self._due_seconds(recording, tokens))
            return web.json_response(reply.completion())
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return await self._stream(request, recording, reply, with_usage)

    def _reply(
        self, recording: Recording, body: Mapping[str, Any], messages: Sequence[_Message]
    ) -> _Reply:
        problem_id, earlier_answers = self._recognize(messages)
        round_ = 1 + len(earlier_answers)
        seed = body.get("seed")
        seed = seed if isinstance(seed, int) else None
        key = (recording.model, problem_id, seed, round_)
        answers = recording.answers.get(problem_id or "") or (RecordedAnswer(UNKNOWN),)
        if seed is not None:
            index = seed - 1
        elif earlier_answers:
            first = earlier_answers[0]
            index = next((n for n, a in enumerate(answers) if a.text.startswith(first)), 0)
        else:
            index = self.requests[key]
        self.requests[key] += 1
        logger.debug("replaying an answer of %s to %s, seed %s, round %d", *key)
        answer = answers[index % len(answers)].in_round(round_)
        reasoning, content = split_tokens(answer.reasoning), split_tokens(answer.text)
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        finish_reason = answer.finish_reason
        if isinstance(limit, int) and len(reasoning) + len(content) > limit:
            reasoning, finish_reason = reasoning[:limit], "length"
            content = content[: limit - len(reasoning)]
        id_ = f"chatcmpl-{self.requests.total()}"
        prompt_tokens = len(split_tokens("\n\n".join(message.text for message in messages)))
        return _Reply(id_, recording.model, reasoning, content, finish_reason, prompt_tokens)

    def _recognize(self, messages: Sequence[_Message]) -> tuple[str | None, list[str]]:
        """Return the id of the latest known problem, or None, and the answers after it."""
        answers: list[str] = []
        for message in reversed(messages):
            if message.role == "assistant":
                answers.insert(0, message.text)
            elif message.role == "user":
                ids = (id_ for prompt, id_ in self._prompts if prompt in message.text)
                if (problem_id := next(ids, None)) is not None:
                    return problem_id, answers
        return None, []

    async def _stream(
        self, request: web.Request, recording: Recording, reply: _Reply, with_usage: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        began = anyio.current_time()
        try:
            await response.prepare(request)
            await response.write(_event(reply.first_chunk()))
            due: list[bytes] = []
            for number, chunk in enumerate(reply.token_chunks(), start=1):
                wait_seconds = began + self._due_seconds(recording, number) - anyio.current_time()
                if wait_seconds > (TICK_SECONDS if number > 1 else 0):
                    await anyio.sleep(wait_seconds)
                    await response.write(b"".join([*due, _event(chunk)]))
                    due.clear()
                else:
                    due.append(_event(chunk))
            await response.write(b"".join(due))
            await response.write(_event(reply.last_chunk()))
            if with_usage:
                await response.write(_event(reply.usage_chunk()))
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
        except ConnectionError:
            pass  # the client disconnected
        return response

    def _due_seconds(self, recording: Recording, tokens: int) -> float:
        """Return the seconds from the request at which the last of so many tokens is due."""
        after_first = max(0, tokens - 1) / recording.tokens_per_second
        return self._pace * (recording.ttft_seconds + after_first)


@asynccontextmanager
async def serve(
    problems: Sequence[Problem], *, pace: float = 1.0, folder: Path = RECORDINGS
) -> AsyncIterator[ReplayServer]:
    """Serve the recordings of a folder on a free loopback port, at the server's `base_url`.

    Raises:
        UsageError: See `load_recordings`.
    """
    server = ReplayServer(problems, load_recordings(folder, problems), pace)
    runner = web.AppRunner(
        server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.base_url = f"http://{host}:{port}/v1"
        yield server
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def _text(content: object) -> str:
    """Return the text of a message's content, which is a string or typed parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def _error(status: int, message: str, code: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
