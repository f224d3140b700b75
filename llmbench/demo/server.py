"""Recorded answers replayed over HTTP: a chat completions server of our own on loopback.

It serves `--provider demo`. Answers go the whole way that a model's answers go; only the model is
missing. Any client of the protocol can ask it.
"""

import json
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

RECORDINGS = Path(__file__).parent / "recordings"
"""Folder of the shipped recordings, one YAML file per model."""

UNKNOWN = "There is no recorded answer for this problem, and no model behind this server."

_PIECE = re.compile(r"\s*\S{1,4}|\s+")
_PLACE = re.compile(r"(^[ \t]+)?\{\{(reference|wrong:[^{}]+)\}\}", re.MULTILINE)


def tokens_of(text: str) -> list[str]:
    """The text in pieces of up to four visible characters with the blanks before them.

    Stands for a tokenizer: four characters a token is the usual rule of thumb for English. The
    pieces joined are the text.
    """
    return _PIECE.findall(text)


TICK_SECONDS = 0.02
"""Tokens due within one tick are written together: a write for each costs more than they do."""


@dataclass(frozen=True)
class RecordedAnswer:
    """One recorded answer, and those that are given in its place when it is asked for again.

    After the last of them that one is given for good.
    """

    text: str
    finish_reason: Literal["stop", "length"] = "stop"
    reasoning: str = ""
    repairs: tuple["RecordedAnswer", ...] = ()

    def filled(self, problem: Problem) -> "RecordedAnswer":
        """The answer with the problem's own solutions in their places."""
        repairs = tuple(repair.filled(problem) for repair in self.repairs)
        return replace(self, text=_filled(self.text, problem), repairs=repairs)

    def in_round(self, number: int) -> "RecordedAnswer":
        """What is given in a round, 1 being the first."""
        return (self, *self.repairs)[:number][-1]


@dataclass(frozen=True)
class Recording:
    """The recorded answers of one model, by problem id; the pace is that of one stream."""

    model: str
    description: str
    tokens_per_second: Annotated[float, Field(gt=0)]
    ttft_seconds: Annotated[float, Field(ge=0)]
    answers: Mapping[str, Sequence[RecordedAnswer]] = field(default_factory=dict)


_RECORDING = TypeAdapter(Recording)


def read(folder: Path, problems: Sequence[Problem]) -> dict[str, Recording]:
    """The recordings of a folder by model, their placeholders filled from the problems.

    Answers to problems that are not given are left out.

    Raises:
        UsageError: a file is no recording, or asks for a solution that its problem does not have.
    """
    known = {problem.id: problem for problem in problems}
    recordings = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            recording = yaml_files.load_as(path, _RECORDING)
            answers = {
                id_: tuple(answer.filled(known[id_]) for answer in answers)
                for id_, answers in recording.answers.items()
                if id_ in known
            }
        except LookupError as error:
            raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
        recordings[recording.model] = replace(recording, answers=answers)
    if not recordings:
        raise UsageError(f"{folder}: no recorded answers there")
    return recordings


def _filled(text: str, problem: Problem) -> str:
    """The text with the problem's own solutions in their places, as far in as the place is."""

    def solution(place: re.Match[str]) -> str:
        kind, _, name = place[2].partition(":")
        code = problem.wrong_answers.get(name) if kind == "wrong" else problem.reference
        if code is None:
            raise LookupError(f"{problem.id} has nothing for {{{{{place[2]}}}}}")
        return textwrap.indent(code.rstrip("\n"), place[1] or "")

    return _PLACE.sub(solution, text)


@dataclass(frozen=True, slots=True)
class _Reply:
    """One answer as it goes out: what is sent, what the client asked for."""

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

    def whole(self) -> dict[str, Any]:
        """The reply to a request that does not stream."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.content)}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return self._object("chat.completion", [choice], usage=self.usage())

    def deltas(self) -> Iterator[dict[str, Any]]:
        """A chunk for each token."""
        for kind, tokens in (("reasoning_content", self.reasoning), ("content", self.content)):
            for token in tokens:
                yield self._chunk({kind: token})

    def opening(self) -> dict[str, Any]:
        return self._chunk({"role": "assistant", "content": ""})

    def closing(self) -> dict[str, Any]:
        return self._chunk({}, self.finish_reason)

    def counted(self) -> dict[str, Any]:
        return self._object("chat.completion.chunk", [], usage=self.usage())

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._object("chat.completion.chunk", [choice])

    def _object(self, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        head = {"id": self.id, "object": kind, "created": int(time.time()), "model": self.model}
        return {**head, "choices": choices, **more}


Asked = tuple[str, str | None, int | None, int]
"""Model, problem id, seed, and round (1 for a first answer)."""

Talk = Sequence[tuple[str, str]]
"""Role and text of each message."""


class ReplayServer:
    """Answers requests from recordings; `requests` counts them by (model, problem id, seed, round).

    A request whose messages hold answers to the problem, each with what was said of it, is one for
    a repair: its round is one more than their number. `pace` multiplies all recorded times: 0 is as
    fast as possible.
    """

    def __init__(
        self, problems: Sequence[Problem], recordings: Mapping[str, Recording], pace: float
    ) -> None:
        self.base_url = ""
        self.models = tuple(recordings)
        self.requests: Counter[Asked] = Counter()
        self._recordings = recordings
        self._pace = pace
        # Longest first: a prompt can hold another one.
        prompts = [(problem.prompt.strip(), problem.id) for problem in problems]
        self._prompts = sorted(prompts, key=lambda pair: len(pair[0]), reverse=True)

    def application(self) -> web.Application:
        """The routes of the protocol."""
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
            asked = json.loads(await request.read())
            recording = self._recordings.get(asked["model"])
            talk = [(str(m["role"]), _text(m["content"])) for m in asked["messages"]]
        except (ValueError, LookupError, TypeError):
            talk = []
        if "user" not in dict(talk):
            return _refusal(400, "the request is no chat completion request", "invalid_request")
        if recording is None:
            message = f"The model '{asked['model']}' does not exist"
            return _refusal(404, message, "model_not_found")
        reply = self._reply(recording, asked, talk)
        if not asked.get("stream"):
            tokens = len(reply.reasoning) + len(reply.content)
            await anyio.sleep(self._due(recording, tokens))
            return web.json_response(reply.whole())
        counted = bool((asked.get("stream_options") or {}).get("include_usage"))
        return await self._stream(request, recording, reply, counted)

    def _reply(self, recording: Recording, asked: Mapping[str, Any], talk: Talk) -> _Reply:
        problem_id, said = self._heard(talk)
        seed = asked.get("seed")
        seed = seed if isinstance(seed, int) else None
        key = (recording.model, problem_id, seed, 1 + len(said))
        answers = recording.answers.get(problem_id or "") or (RecordedAnswer(UNKNOWN),)
        if seed is not None:
            nth = seed - 1
        elif said:
            nth = next((n for n, a in enumerate(answers) if a.text.startswith(said[0])), 0)
        else:
            nth = self.requests[key]
        self.requests[key] += 1
        answer = answers[nth % len(answers)].in_round(1 + len(said))
        reasoning, content = tokens_of(answer.reasoning), tokens_of(answer.text)
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        finish_reason = answer.finish_reason
        if isinstance(limit, int) and len(reasoning) + len(content) > limit:
            reasoning, finish_reason = reasoning[:limit], "length"
            content = content[: limit - len(reasoning)]
        id_ = f"chatcmpl-{self.requests.total()}"
        prompt_tokens = len(tokens_of("\n\n".join(text for _, text in talk)))
        return _Reply(id_, recording.model, reasoning, content, finish_reason, prompt_tokens)

    def _heard(self, talk: Talk) -> tuple[str | None, list[str]]:
        """The problem that was told last, None where it is not known, and what was answered."""
        said: list[str] = []
        for role, text in reversed(talk):
            if role == "assistant":
                said.insert(0, text)
            elif role == "user":
                problem_id = next((id_ for prompt, id_ in self._prompts if prompt in text), None)
                if problem_id is not None:
                    return problem_id, said
        return None, []

    async def _stream(
        self, request: web.Request, recording: Recording, reply: _Reply, counted: bool
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        began = anyio.current_time()
        try:
            await response.prepare(request)
            await response.write(_event(reply.opening()))
            due: list[bytes] = []
            for nth, delta in enumerate(reply.deltas(), start=1):
                early = began + self._due(recording, nth) - anyio.current_time()
                if early > (TICK_SECONDS if nth > 1 else 0):
                    await anyio.sleep(early)
                    await response.write(b"".join([*due, _event(delta)]))
                    due.clear()
                else:
                    due.append(_event(delta))
            await response.write(b"".join(due))
            await response.write(_event(reply.closing()))
            if counted:
                await response.write(_event(reply.counted()))
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
        except ConnectionError:
            pass  # the client left
        return response

    def _due(self, recording: Recording, tokens: int) -> float:
        """When the n-th token is due, in seconds after the request."""
        after_first = max(0, tokens - 1) / recording.tokens_per_second
        return self._pace * (recording.ttft_seconds + after_first)


@asynccontextmanager
async def serve(
    problems: Sequence[Problem], *, pace: float = 1.0, folder: Path = RECORDINGS
) -> AsyncIterator[ReplayServer]:
    """Serve the recordings of a folder on a free loopback port; `base_url` says where.

    Raises:
        UsageError: as `read`.
    """
    server = ReplayServer(problems, read(folder, problems), pace)
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
    """A message's text, given as such or in typed parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def _refusal(status: int, message: str, code: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
