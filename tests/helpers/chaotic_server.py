"""A server that answers badly at random, from a seed, and records how it answered each run."""

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

from helpers.scripted_server import (
    EVENTS,
    Script,
    ScriptedServer,
    chunk,
    event,
    events,
)

LONG = 30.0
"""Pause in seconds of a stream that goes idle: longer than any client of a test waits."""


class Expected(Enum):
    """The reaction to a play that is right."""

    WHOLE = "the answer, as it was sent"
    EMPTY = "an answer without code"
    SHORT = "an answer cut at the token limit"
    AGAIN = "another try"
    LEARN = "the same once more, without the parameter"
    NEVER = "no further try, and no answer"


class Play(NamedTuple):
    """One way to answer; `requests_wait` if it says how long to wait before a retry."""

    name: str
    expected: Expected
    script: Callable[[str], Script]
    requests_wait: bool = False


def code(run: int) -> str:
    """The program that solves a run."""
    return f"def answer():\n    return {run}  # ✓ übergroß"


def answer_text(run: int) -> str:
    """The answer to a run, different from that of any other run."""
    return f"Here it is:\n\n```python\n{code(run)}\n```\n"


USAGE = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 22}}
ROLE = chunk("", role="assistant")
STOP = chunk(None, "stop")
GONE = {"error": {"code": 502, "message": "gone"}}
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


def _cut_json(text: str) -> Script:
    (body,) = _whole_json(text).parts
    assert isinstance(body, bytes)
    return Script([body[:-9]])


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


def _ends_in(*last: Any) -> Callable[[str], Script]:
    """A stream that begins well and ends in these chunks."""
    return lambda text: Script([events(ROLE, *_pieces(text)[:3], *last)])


def fails(status: int, message: str, *headers: str, **more: Any) -> Callable[[str], Script]:
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return lambda _: Script([body], status, "application/json", headers)


def _page(status: int) -> Callable[[str], Script]:
    page = b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>"
    return lambda _: Script([page], status, "text/html")


def _dated(_: str) -> Script:
    header = f"Retry-After: {formatdate(time.time() + 2, usegmt=True)}"
    return fails(429, "slow down", header)("")


def _single_lines(text: str) -> Script:
    """Events apart by single line ends, after a byte-order mark."""
    return Script([b"\xef\xbb\xbf" + _stream(text).replace(b"\n\n", b"\n")])


def _pinged(text: str) -> Script:
    """Events without JSON among the others, and an end in quotes."""
    ping = b"data: \n\nevent: ping\ndata: 2025-01-01T00:00:00\n\n"
    return Script([*(ping + event(c) for c in [ROLE, *_pieces(text), STOP]), b'data: "[DONE]"\n\n'])


def _faulty_after_the_end(text: str) -> Script:
    junk = b'data: [STATS] {"tps": 12}\n\ndata: {"choices": [{"del\n\n'
    return Script([events(*_pieces(text), STOP, done=False), junk, events(GONE)])


def _several_choices(text: str) -> Script:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}
    return Script([events(*(each for c in _pieces(text) for each in (c, other)), STOP, USAGE)])


def _texts(text: str) -> Script:
    """The form of the older completions, each with a finish reason of no meaning."""
    pieces = [text[at : at + 9] for at in range(0, len(text), 9)]
    choices = [{"index": 0, "text": piece, "finish_reason": "null"} for piece in pieces]
    return Script([events(*({"choices": [choice]} for choice in choices), STOP)])


def _repeated(text: str) -> Script:
    return Script([events(*_pieces(text), chunk(text, "stop"))])


def _in_objects(text: str) -> Script:
    return Script([events(chunk({"type": "text", "text": text}), STOP)], content_type="")


def _only_reasoning(text: str) -> Script:
    return Script([events(chunk(None, reasoning_content=text), STOP, USAGE)])


GOOD = (
    Play("plain", Expected.WHOLE, _plain),
    Play("bytewise", Expected.WHOLE, _bytewise),
    Play("CRLF", Expected.WHOLE, lambda t: Script([_stream(t).replace(b"\n", b"\r\n")])),
    Play("no space", Expected.WHOLE, lambda t: Script([_stream(t).replace(b"data: ", b"data:")])),
    Play("no DONE", Expected.WHOLE, lambda t: Script([events(*_pieces(t), STOP, done=False)])),
    Play("no end", Expected.WHOLE, lambda t: Script([events(*_pieces(t), STOP)[:-2]])),
    Play("cut after the end", Expected.WHOLE, lambda t: replace(_plain(t), cut=True)),
    Play("JSON", Expected.WHOLE, _whole_json),
    Play("gzip", Expected.WHOLE, _gzipped),
    Play("odd chunks", Expected.WHOLE, _odd_chunks),
    Play("comments", Expected.WHOLE, _commented),
    Play("thinking", Expected.WHOLE, _thinking),
    Play("single lines", Expected.WHOLE, _single_lines),
    Play("pings", Expected.WHOLE, _pinged),
    Play("faults after the end", Expected.WHOLE, _faulty_after_the_end),
    Play("several choices", Expected.WHOLE, _several_choices),
    Play("texts", Expected.WHOLE, _texts),
    Play("repeated", Expected.WHOLE, _repeated),
    Play("objects", Expected.WHOLE, _in_objects),
    Play("JSON as events", Expected.WHOLE, lambda t: replace(_whole_json(t), content_type=EVENTS)),
    Play("long header", Expected.WHOLE, lambda t: replace(_plain(t), headers=["X: " + "a" * 9000])),
    Play("no usage", Expected.WHOLE, lambda t: Script([events(ROLE, *_pieces(t), STOP)])),
)

BAD = (
    Play("tool calls", Expected.EMPTY, lambda _: Script([events(
        chunk(None, tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}"}}]),
        chunk(None, "tool_calls"))])),
    Play("refusal", Expected.EMPTY, lambda _: Script([events(chunk(None, refusal="No."), STOP)])),
    Play("only reasoning", Expected.EMPTY, _only_reasoning),
    Play("length", Expected.SHORT, _ends_in(chunk(None, "length"), USAGE)),
    Play("context", Expected.SHORT, _ends_in(chunk(None, "model_context_window_exceeded"))),
    Play("no token", Expected.AGAIN, lambda _: Script([events(ROLE, STOP)])),
    Play("cancelled", Expected.AGAIN, _ends_in(chunk("", "cancelled"))),
    Play("crashed", Expected.AGAIN, fails(400, "The model has crashed.")),
    Play("error event", Expected.AGAIN, lambda t: Script(
        [_cut(t, 3).parts[0], b"event: error\ndata: gone\n\n"])),
    Play("error in words", Expected.AGAIN, lambda _: Script([b"data: CUDA error: gone\n\n"])),
    Play("error of 200", Expected.AGAIN, lambda _: Script([b'{"choices": null, "msg": "gone"}'])),
    Play("cut JSON", Expected.AGAIN, _cut_json),
    Play("dropped", Expected.AGAIN, lambda _: Script(raw=True)),
    Play("reset", Expected.AGAIN, lambda _: Script(raw=True, reset=True)),
    Play("408", Expected.AGAIN, fails(408, "timed out")),
    Play("409", Expected.AGAIN, fails(409, "conflict")),
    Play("425", Expected.AGAIN, fails(425, "too early")),
    Play("429", Expected.AGAIN, fails(429, "slow down")),
    Play("429 reset", Expected.AGAIN, fails(429, "slow down", "X-RateLimit-Reset: 3s"), True),
    Play("429 seconds", Expected.AGAIN, fails(429, "slow down", "Retry-After: 1"), True),
    Play("429 date", Expected.AGAIN, _dated, True),
    Play("500", Expected.AGAIN, fails(500, "oops")),
    Play("503 seconds", Expected.AGAIN, fails(503, "busy", "Retry-After: 2"), True),
    Play("529", Expected.AGAIN, fails(529, "overloaded", type="overloaded_error")),
    Play("error page", Expected.AGAIN, _page(502)),
    Play("cut at once", Expected.AGAIN, lambda t: _cut(t, 0)),
    Play("cut midway", Expected.AGAIN, lambda t: _cut(t, 3)),
    Play("reset midway", Expected.AGAIN, lambda t: replace(_cut(t, 3), reset=True)),
    Play("ends midway", Expected.AGAIN, lambda t: replace(_cut(t, 3), cut=False)),
    Play("idle at once", Expected.AGAIN, lambda t: _idle(t, 0)),
    Play("idle midway", Expected.AGAIN, lambda t: _idle(t, 3)),
    Play("error midway", Expected.AGAIN, _ends_in(GONE)),
    Play("error object", Expected.AGAIN, _ends_in({"object": "error", "message": "gone"})),
    Play("error field", Expected.AGAIN, lambda t: Script([_cut(t, 3).parts[0], ERROR_FIELD])),
    Play("finish error", Expected.AGAIN, _ends_in(chunk("", "error"))),
    Play("no resources", Expected.AGAIN, _ends_in(chunk("", "insufficient_system_resource"))),
    Play("no JSON", Expected.AGAIN, lambda t: Script([_cut(t, 3).parts[0], b'data: {"cho\n\n'])),
    Play("too long", Expected.NEVER, fails(400, "x", code="context_length_exceeded")),
    Play("filter", Expected.NEVER, fails(400, "x", code="content_filter")),
    Play("recitation", Expected.NEVER, _ends_in(chunk(None, "content_filter: RECITATION"))),
    Play("filter midway", Expected.NEVER, _ends_in(chunk(None, "content_filter"))),
)  # fmt: skip

REFUSALS: Mapping[str, Play] = {
    name: Play(f"refuses {name}", Expected.LEARN, fails(400, f"Unsupported parameter: {text}"))
    for name, text in {
        "stream_options": "'stream_options'",
        "max_tokens": "'max_tokens', use 'max_completion_tokens' instead",
        "temperature": "'temperature'",
        "stream": "'stream'",
    }.items()
}


@dataclass
class ChaoticServer(ScriptedServer):
    """Answers a share of the requests badly; `plays` records those of each run, in order.

    The play of a request depends only on the seed, its run and its number. The run is the
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
            refusals = [play for name, play in REFUSALS.items() if body.get(name)]
            play = dice.choice([*self.bad, *refusals])
        self.plays[run].append(play)
        return play.script(answer_text(run))
