"""A server that answers badly at random: seeded, and it keeps what it did to whom."""

import gzip
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import Enum
from typing import Any, NamedTuple

from helpers.scripted_server import Script, ScriptedServer, chunk, event, events

LONG = 30.0
"""Pause in seconds of a stream that goes idle: longer than any client of a test waits."""


class Means(Enum):
    """What a client owes to a play."""

    WHOLE = "the answer, as it was sent"
    EMPTY = "an answer without code"
    SHORT = "an answer cut at the token limit"
    AGAIN = "another try"
    LEARN = "the same once more, without the parameter"
    NEVER = "no further try, and no answer"


class Play(NamedTuple):
    """One way to answer; `asks_wait` where it says how long to stay away."""

    name: str
    means: Means
    script: Callable[[str], Script]
    asks_wait: bool = False


def code(run: int) -> str:
    """The program that solves a run."""
    return f"def answer():\n    return {run}  # ✓ übergroß"


def answer_text(run: int) -> str:
    """The answer to a run, which none other gets."""
    return f"Here it is:\n\n```python\n{code(run)}\n```\n"


USAGE = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 22}}
ROLE = chunk("", role="assistant")
STOP = chunk(None, "stop")
ERROR_FIELD = b'error: {"code": 500, "message": "gone"}\n\n'


def _pieces(text: str) -> list[dict[str, Any]]:
    return [chunk(text[at : at + 9]) for at in range(0, len(text), 9)]


def _stream(text: str) -> bytes:
    return events(ROLE, *_pieces(text), STOP, USAGE)


def _plain(text: str) -> Script:
    return Script([_stream(text)])


def _bytewise(text: str) -> Script:
    """Chunks of 7 bytes: characters and lines are cut anywhere."""
    stream = _stream(text)
    return Script([stream[at : at + 7] for at in range(0, len(stream), 7)])


def _whole_json(text: str) -> Script:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], "usage": USAGE["usage"]}).encode()
    return Script([body], content_type="application/json")


def _gzipped(text: str) -> Script:
    return Script([gzip.compress(_stream(text))], headers=["Content-Encoding: gzip"])


def _odd_chunks(text: str) -> Script:
    odd: list[Any] = [
        {"choices": []},
        {"choices": None},
        {"choices": [{"delta": {"content": None}}]},
    ]
    return Script([events(ROLE, *odd, *_pieces(text), *odd, STOP)])


def _commented(text: str) -> Script:
    comment = b": OPENROUTER PROCESSING\n\n"
    return Script([comment, *(event(c) + comment for c in [ROLE, *_pieces(text), STOP])])


def _thinking(text: str) -> Script:
    thoughts = [chunk(None, reasoning="hm"), chunk(None, reasoning_content=" so")]
    return Script([events(*thoughts, *_pieces(text), STOP, USAGE)])


def _idle(text: str, after: int) -> Script:
    return Script([events(ROLE, *_pieces(text)[:after], done=False), LONG])


def _cut(text: str, after: int) -> Script:
    return Script([events(ROLE, *_pieces(text)[:after], done=False)], cut=True)


def _spoken(*last: Any) -> Callable[[str], Script]:
    """A stream that begins well and ends in these chunks."""
    return lambda text: Script([events(ROLE, *_pieces(text)[:3], *last)])


def says(status: int, message: str, *headers: str, **more: Any) -> Callable[[str], Script]:
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return lambda _: Script([body], status, "application/json", headers)


def _page(status: int) -> Callable[[str], Script]:
    page = b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>"
    return lambda _: Script([page], status, "text/html")


def _dated(_: str) -> Script:
    header = f"Retry-After: {formatdate(time.time() + 2, usegmt=True)}"
    return says(429, "slow down", header)("")


GOOD = (
    Play("plain", Means.WHOLE, _plain),
    Play("bytewise", Means.WHOLE, _bytewise),
    Play("CRLF", Means.WHOLE, lambda t: Script([_stream(t).replace(b"\n", b"\r\n")])),
    Play("no space", Means.WHOLE, lambda t: Script([_stream(t).replace(b"data: ", b"data:")])),
    Play("no DONE", Means.WHOLE, lambda t: Script([events(*_pieces(t), STOP, done=False)])),
    Play("no end", Means.WHOLE, lambda t: Script([events(*_pieces(t), STOP)[:-2]])),
    Play("cut after the end", Means.WHOLE, lambda t: replace(_plain(t), cut=True)),
    Play("JSON", Means.WHOLE, _whole_json),
    Play("gzip", Means.WHOLE, _gzipped),
    Play("odd chunks", Means.WHOLE, _odd_chunks),
    Play("comments", Means.WHOLE, _commented),
    Play("thinking", Means.WHOLE, _thinking),
    Play("no usage", Means.WHOLE, lambda t: Script([events(ROLE, *_pieces(t), STOP)])),
)

BAD = (
    Play("tool calls", Means.EMPTY, lambda _: Script([events(
        chunk(None, tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}"}}]),
        chunk(None, "tool_calls"))])),
    Play("refusal", Means.EMPTY, lambda _: Script([events(chunk(None, refusal="No."), STOP)])),
    Play("length", Means.SHORT, _spoken(chunk(None, "length"), USAGE)),
    Play("dropped", Means.AGAIN, lambda _: Script(raw=True)),
    Play("reset", Means.AGAIN, lambda _: Script(raw=True, reset=True)),
    Play("408", Means.AGAIN, says(408, "timed out")),
    Play("409", Means.AGAIN, says(409, "conflict")),
    Play("425", Means.AGAIN, says(425, "too early")),
    Play("429", Means.AGAIN, says(429, "slow down")),
    Play("429 reset", Means.AGAIN, says(429, "slow down", "X-RateLimit-Reset: 3s"), True),
    Play("429 seconds", Means.AGAIN, says(429, "slow down", "Retry-After: 1"), True),
    Play("429 date", Means.AGAIN, _dated, True),
    Play("500", Means.AGAIN, says(500, "oops")),
    Play("503 seconds", Means.AGAIN, says(503, "busy", "Retry-After: 2"), True),
    Play("529", Means.AGAIN, says(529, "overloaded", type="overloaded_error")),
    Play("error page", Means.AGAIN, _page(502)),
    Play("cut at once", Means.AGAIN, lambda t: _cut(t, 0)),
    Play("cut midway", Means.AGAIN, lambda t: _cut(t, 3)),
    Play("reset midway", Means.AGAIN, lambda t: replace(_cut(t, 3), reset=True)),
    Play("ends midway", Means.AGAIN, lambda t: replace(_cut(t, 3), cut=False)),
    Play("idle at once", Means.AGAIN, lambda t: _idle(t, 0)),
    Play("idle midway", Means.AGAIN, lambda t: _idle(t, 3)),
    Play("error midway", Means.AGAIN, _spoken({"error": {"code": 502, "message": "gone"}})),
    Play("error object", Means.AGAIN, _spoken({"object": "error", "message": "gone"})),
    Play("error field", Means.AGAIN, lambda t: Script([_cut(t, 3).parts[0], ERROR_FIELD])),
    Play("finish error", Means.AGAIN, _spoken(chunk("", "error"))),
    Play("no resources", Means.AGAIN, _spoken(chunk("", "insufficient_system_resource"))),
    Play("no JSON", Means.AGAIN, lambda t: Script([_cut(t, 3).parts[0], b'data: {"cho\n\n'])),
    Play("context", Means.NEVER, says(400, "x", code="context_length_exceeded")),
    Play("filter", Means.NEVER, says(400, "x", code="content_filter")),
    Play("filter midway", Means.NEVER, _spoken(chunk(None, "content_filter"))),
)  # fmt: skip

REFUSALS: Mapping[str, Play] = {
    name: Play(f"refuses {name}", Means.LEARN, says(400, f"Unsupported parameter: {said}"))
    for name, said in {
        "stream_options": "'stream_options'",
        "max_tokens": "'max_tokens', use 'max_completion_tokens' instead",
        "temperature": "'temperature'",
    }.items()
}


@dataclass
class ChaoticServer(ScriptedServer):
    """Answers well, but for `share` of the requests; `plays` keeps what each run got, in order.

    What a request gets depends on the seed, its run and its number alone. The run is read off the
    request's own seed, which counts from 1.
    """

    scripts: list[Script] = field(default_factory=list)
    seed: int = 0
    share: float = 0.3
    bad: Sequence[Play] = BAD
    plays: dict[int, list[Play]] = field(default_factory=lambda: defaultdict(list))

    def choose(self, body: dict[str, Any]) -> Script:
        """See `ScriptedServer.choose`."""
        run = int(body["seed"])
        dice = random.Random(f"{self.seed} {run} {len(self.plays[run])}")
        if dice.random() >= self.share:
            play = dice.choice(GOOD)
        else:
            refusals = [play for name, play in REFUSALS.items() if name in body]
            play = dice.choice([*self.bad, *refusals])
        self.plays[run].append(play)
        return play.script(answer_text(run))
