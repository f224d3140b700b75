"""What went wrong at a server, sorted once into the error tree.

A message is one line: who, the status, the server's own words, what to do next. It never holds
the key, not even where a server repeats it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp
import httpx

from llmbench.errors import AttemptError, ModelError, TargetError, TransientError
from llmbench.models.presets import Provider
from llmbench.models.rate_headers import server_wait
from llmbench.plan import RequestTimeouts

WORDS_CHARS = 200
"""Longest quotation of a server's own words."""

ANY_KEY = "OPENAI_COMPATIBLE_API_KEY and use --provider openai-compatible"
"""What opens a server whose preset knows no key."""

TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
OVERLOAD_STATUS = frozenset({429, 503, 529})

# What servers say, in the error's message, code and type. A rate limit (429) is told by its status
# alone, but for the code of an empty account: some servers speak of quota and context there too.
_CONTEXT = re.compile(
    r"context[ _]?(length|window|size|overflow)|maximum context|prompt is too long"
    r"|too many (input |prompt )?tokens|(input|prompt) token count|context the overflows"
    r"|exceeds? the context"
)
_FILTER = re.compile(
    r"content[ _]filter|content_policy|content management policy|prohibited_content"
    r"|flagged|data_inspection_failed"
)
_QUOTA = re.compile(
    r"insufficient_quota|credit balance|insufficient[ _](credits?|balance|funds)"
    r"|billing_hard_limit|billing_not_active"
)
_MODEL = re.compile(
    r"model_not_found|not a valid model|unknown model|invalid model|model not exist"
    r"|no models? (is )?loaded|model\b.{0,120}(not found|does not exist|not available)"
)

# Gemini, xAI and a LiteLLM without a database call a wrong key a bad request.
_KEY = re.compile(
    r"api.?key.{0,20}(not valid|invalid|expired)|(invalid|incorrect|missing) api.?key"
    r"|no_db_connection"
)
_BUSY = re.compile(r"overloaded|rate.?limit|resource_exhausted|too many requests")
_STATUS = re.compile(r"[345]\d\d")
_PARAMETER = re.compile(r"\b(max_tokens|max_completion_tokens|temperature)\b")
_PROMPT = re.compile(r"prompt|input tokens|messages")


class ErrorBody(NamedTuple):
    """What an error body says: for people, and all that tells its kind, in lower case."""

    message: str
    kind: str
    param: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})


def parse_error(body: bytes | Mapping[str, Any]) -> ErrorBody:
    """The words of an error in any of the forms that servers use."""
    if isinstance(body, Mapping):
        parsed: Any = body
    else:
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return _page(body.decode("utf-8", "replace"))
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, Mapping):
        return ErrorBody(str(parsed), str(parsed).lower())
    error = parsed.get("error") or parsed
    if not isinstance(error, Mapping):
        return ErrorBody(str(error), str(error).lower())
    message = error.get("message") or error.get("detail") or error
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("raw"):  # a router quotes its provider
        message = f"{message}: {metadata['raw']}"
    told = [message, *(error.get(name) for name in ("code", "type", "param", "status"))]
    # Some write the status as a text.
    status = next((int(s) for s in map(str, told[1:]) if _STATUS.fullmatch(s)), None)
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    param = error.get("param")
    kind = " ".join(str(part) for part in (text, *told[1:]) if part is not None)
    named = param if isinstance(param, str) else None
    return ErrorBody(text, kind.lower(), named, status, _headers_in(error))


def _headers_in(error: Mapping[str, Any]) -> Mapping[str, str]:
    """Headers that stand in an error's body: what a router got itself, or the delay of Google."""
    metadata, details = error.get("metadata"), error.get("details")
    headers = metadata.get("headers") if isinstance(metadata, Mapping) else None
    found = headers if isinstance(headers, Mapping) else {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and "retryDelay" in detail:
            found = {"retry-after": detail["retryDelay"], **found}
    return {str(name).lower(): str(value) for name, value in found.items()}


def _page(text: str) -> ErrorBody:
    """A page for browsers, as proxies answer with, is told by its title."""
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    message = title[1] if title else text
    return ErrorBody(message, message.lower())


@dataclass(frozen=True, slots=True)
class ErrorMapper:
    """Turns what went wrong at one server into an error of the tree.

    `who` names the target or the server in every message.
    """

    who: str
    base_url: str
    preset: Provider
    key: str | None = field(default=None, repr=False)

    def of_status(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """The fault of an answer with an error status."""
        if 300 <= status < 400:
            there = self._plain(headers.get("location", "elsewhere"))
            return self._target(
                f"HTTP {status}", f"it points to {there}", "give that to --base-url"
            )
        words = parse_error(body)
        wait = server_wait(headers, limited=status == 429)
        if wait is None:
            wait = server_wait(words.headers, limited=status == 429)
        return self._sort(f"HTTP {status}", status, words, wait)

    def of_event(self, chunk: Mapping[str, Any]) -> ModelError:
        """The fault that a server reports inside an answer that began well."""
        words = parse_error(chunk)
        said = "error in the answer" if words.status is None else f"error {words.status}"
        status = words.status or (429 if _BUSY.search(words.kind) else 500)
        return self._sort(said, status, words, server_wait(words.headers, limited=status == 429))

    def of_transport(self, error: Exception) -> ModelError:
        """The fault of a connection that was not made, or that broke."""
        cause = error.__cause__ or error
        if isinstance(cause, aiohttp.ClientSSLError):
            return self._target(
                "no trusted connection", self._plain(str(cause)), "check --base-url"
            )
        if isinstance(cause, aiohttp.ClientConnectorDNSError):
            return TransientError(f"cannot reach {self.base_url}: no such host; check --base-url")
        if isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return TransientError(f"cannot reach {self.base_url}: {self.preset.start_hint}")
        if isinstance(error, httpx.ReadTimeout):
            return self.cut("sent nothing in time")
        if isinstance(cause, aiohttp.ServerDisconnectedError):
            return self.cut("closed the connection without an answer")
        return self.cut(f"the connection broke: {self._plain(str(error)) or type(error).__name__}")

    def cut(self, how: str) -> TransientError:
        """The fault of an answer that did not come whole."""
        return TransientError(f"{self.who}: {how}")

    def unheard(self, limits: RequestTimeouts) -> TransientError:
        """The fault of an answer whose first token does not come."""
        seconds = f"{limits.first_token:g} s"
        return self.cut(f"no token within {seconds} of the request (--first-token-timeout)")

    def stalled(self, limits: RequestTimeouts) -> TransientError:
        """The fault of an answer whose next token does not come."""
        seconds = f"{limits.between_tokens:g} s"
        return self.cut(f"no further token for {seconds} (--token-timeout)")

    def endless(self, limits: RequestTimeouts) -> AttemptError:
        """The fault of an answer that takes too long as a whole: another would as well."""
        return AttemptError(
            f"{self.who}: the answer was not whole after {limits.answer:g} s; "
            "allow more with --answer-timeout, or less text with --max-tokens"
        )

    def odd(self, shown: str) -> TransientError:
        """The fault of an event in the stream that is no chunk of a chat completion."""
        return self.cut(f"sent something that is no chat completion chunk: {self._plain(shown)}")

    def withheld(self) -> AttemptError:
        """The fault of an answer that a content filter ended."""
        return AttemptError(f"{self.who}: the answer was withheld by the server's content filter")

    def foreign(self, content_type: str, wanted: str = "chat completion") -> TargetError:
        """The fault of a server that speaks something else."""
        sent = self._plain(content_type).partition(";")[0] or "something unknown"
        return self._target(f"sent {sent}, which is no {wanted}", "", "check --base-url")

    def _sort(self, said: str, status: int, words: ErrorBody, wait: float | None) -> ModelError:
        text = self._plain(words.message)
        limited = status == 429
        if _QUOTA.search(words.kind) or status == 402:
            return self._target(said, text, "add credit to the account")
        if not limited and _CONTEXT.search(words.kind):
            return self._attempt(said, text, "allow a longer context, or less with --max-tokens")
        if not limited and _FILTER.search(words.kind):
            return self._attempt(said, text, "the server's content filter refuses this prompt")
        if status in (401, 403) or (status == 400 and _KEY.search(words.kind)):
            todo = "check" if self.key else "set"
            return self._target(said, text, f"{todo} {self.preset.key_env or ANY_KEY}")
        if status in (400, 404, 422) and _MODEL.search(words.kind):
            return self._target(said, text, "name one that the server has with --model")
        if status in (400, 422) and (named := _PARAMETER.search(words.kind)):
            flag = "--" + named[0].replace("completion_", "").replace("_", "-")
            if not _PROMPT.search(words.kind):  # each request would meet that
                return self._target(said, text, f"change {flag}")
        if status in (404, 405):
            return self._target(said, text, f"check --model and --base-url {self.base_url}")
        if status in TRANSIENT_STATUS or status >= 500:
            fault = TransientError(self._line(said, text), retry_after=wait)
            fault.overload = status in OVERLOAD_STATUS
            return fault
        return self._attempt(said, text, "the server refuses this request")

    def _target(self, said: str, text: str, todo: str) -> TargetError:
        return TargetError(f"{self._line(said, text)}; {todo}")

    def _attempt(self, said: str, text: str, todo: str) -> AttemptError:
        return AttemptError(f"{self._line(said, text)}; {todo}")

    def _line(self, said: str, text: str) -> str:
        return f"{self.who}: {said}: {text}" if text else f"{self.who}: {said}"

    def _plain(self, text: str) -> str:
        """Foreign text on one line: no key, no control characters, not long."""
        if self.key:
            text = text.replace(self.key, "***")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= WORDS_CHARS else text[: WORDS_CHARS - 1] + "…"
