"""Errors of a model server, classified once into the error tree.

A message is one line: the target, the status, the server's own text, a hint. It never contains the
key, even where a server repeats it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import aiohttp
import httpx

from llmbench.errors import (
    AttemptError,
    ModelError,
    TargetError,
    TransientError,
    UnreachableError,
)
from llmbench.models.providers import Provider
from llmbench.models.rate_headers import server_wait
from llmbench.plan import RequestTimeouts

MAX_QUOTE_CHARS = 200
"""Longest quotation of a server's own text."""

OWN_KEY_HINT = "OPENAI_COMPATIBLE_API_KEY and use --provider openai-compatible"
"""The way to give a key to a server whose provider has no variable for one."""

TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
OVERLOAD_STATUS = frozenset({429, 503, 529})
PASSING_STATUS = TRANSIENT_STATUS | {502, 503, 504, *range(520, 531)}
"""Statuses of faults that pass: their words say nothing about the next request."""

MESSAGE_FIELDS = (
    "message",
    "detail",
    "msg",
    "error_msg",
    "error_message",
    "errorMessage",
    "status_msg",
    "errors",
)
"""Fields in which servers put their own words, inside `error` or beside it."""

ALLOCATED_QUOTA = "allocated quota"
"""Alibaba's words for a rate limit, under the code of an empty account."""

# Searched in the error's message, code and type. For 429 the status alone decides, unless the code
# is that of an empty account: some servers mention quota and context in a rate limit, too.
_CONTEXT = re.compile(
    r"context[ _]?(length|window|size|overflow)|maximum context|prompt is too long"
    r"|too many (input |prompt )?tokens|(input|prompt) token count|context the overflows"
    r"|exceeds? the context|inputs?. tokens? \+ .?max_new_tokens"
)
_FILTER = re.compile(
    r"content[ _]filter|content_policy|content management policy|prohibited_content"
    r"|flagged|data_inspection_failed"
)
_QUOTA = re.compile(
    r"insufficient_quota|credit balance|insufficient[ _](credits?|balance|funds)"
    r"|billing_hard_limit|billing_not_active|key limit exceeded"
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

# A model that loads is waited for; one that failed may answer again, whatever the status.
_LOADING = re.compile(
    r"(?<!error )(?<!failed )\bloading (the )?model|^(still )?loading\b"
    r"|\bmodel\b.{0,80}\b(is|still|being)\b.{0,20}\bloading"
    r"|\bmodel\b.{0,80}\b(not (yet )?ready|warming up|starting up)"
)
_FAILED = re.compile(
    r"\bcrash(ed)?\b|\bunloaded\b|(has|was) terminated|tool_use_failed"
    r"|\b(process|runner|worker|engine)\b.{0,30}(died|exited|killed|terminated)"
)
# Faults of a server that its next answer will have, too.
_LASTING = re.compile(
    r"requires more|not (enough|sufficient)|insufficient memory|out of memory|not support"
    r"|unsupported|\bmust\b|unable to|failed to (load|create|init|allocate|open)"
    r"|cannot (load|allocate)|error loading|not found|unknown|invalid|no longer running"
)
_STATUS = re.compile(r"[345]\d\d")
_PARAMETER = re.compile(r"\b(max_tokens|max_completion_tokens|temperature)\b")
_PROMPT = re.compile(r"prompt|input tokens|messages")
_NUMBER = re.compile(r"[\w-]*\d[\w-]*")


class ErrorBody(NamedTuple):
    """The parsed body of an error.

    `message` is for people; `kind` joins message, code and type in lower case, for classification.
    """

    message: str
    kind: str
    param: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = MappingProxyType({})


def parse_error(body: bytes | Mapping[str, Any]) -> ErrorBody:
    """Parse an error in any of the forms that servers use."""
    if isinstance(body, Mapping):
        parsed: Any = body
    else:
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return _parse_page(body.decode("utf-8", "replace"))
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, Mapping):
        return ErrorBody(str(parsed), str(parsed).lower())
    inner = parsed.get("error")
    error = inner if isinstance(inner, Mapping) else parsed
    text = _message(error) or json.dumps(inner or error, ensure_ascii=False)
    if isinstance(inner, str):
        beside = _message(parsed)
        text = f"{inner}: {beside}" if beside else inner
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("raw"):  # a router quotes its provider
        text = f"{text}: {metadata['raw']}"
    fields = [error.get(name) for name in ("code", "type", "param", "status", "statusCode")]
    # Some servers send the status as a string.
    status = next((int(s) for s in map(str, fields) if _STATUS.fullmatch(s)), None)
    kind = " ".join(str(part) for part in (text, *fields) if part is not None)
    param = error.get("param")
    return ErrorBody(
        text,
        kind.lower(),
        param if isinstance(param, str) else None,
        status,
        _headers_in(error),
    )


def _message(error: Mapping[str, Any]) -> str:
    """Return the words of an error for people, or an empty text."""
    base = error.get("base_resp")  # MiniMax
    places = [error, base] if isinstance(base, Mapping) else [error]
    values = (place.get(name) for place in places for name in MESSAGE_FIELDS)
    message = next(filter(None, values), "")
    if isinstance(message, list) and all(isinstance(item, str) for item in message):
        return "; ".join(message)
    return message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)


def _headers_in(error: Mapping[str, Any]) -> Mapping[str, str]:
    """Return headers inside an error's body: those a router received, or the delay of Google."""
    metadata, details = error.get("metadata"), error.get("details")
    value = metadata.get("headers") if isinstance(metadata, Mapping) else None
    headers = value if isinstance(value, Mapping) else {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and "retryDelay" in detail:
            headers = {"retry-after": detail["retryDelay"], **headers}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _parse_page(text: str) -> ErrorBody:
    """Parse an HTML page, as proxies send it: its title is the message."""
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    message = title[1] if title else text
    return ErrorBody(message, message.lower())


@dataclass(frozen=True, slots=True)
class ErrorMapper:
    """Maps failures at one server to errors of the tree; `source` begins every message."""

    source: str
    base_url: str
    provider: Provider
    key: str | None = field(default=None, repr=False)

    def from_status(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """Return the error for a response with an error status."""
        if 300 <= status < 400:
            location = self.quote(headers.get("location", "another address"))
            hint = "give that address to --base-url"
            return self._target_error(f"HTTP {status}", f"redirects to {location}", hint)
        error = parse_error(body)
        wait = server_wait(headers, limited=status == 429)
        if wait is None:
            wait = server_wait(error.headers, limited=status == 429)
        return self._classify(f"HTTP {status}", status, error, wait)

    def from_event(self, chunk: Mapping[str, Any]) -> ModelError:
        """Return the error that a server reports inside a stream that began well."""
        error = parse_error(chunk)
        title = "error in the answer" if error.status is None else f"error {error.status}"
        status = error.status or (429 if _BUSY.search(error.kind) else 500)
        wait = server_wait(error.headers, limited=status == 429)
        return self._classify(title, status, error, wait)

    def has_words(self, body: Mapping[str, Any]) -> bool:
        """True if an object without an answer says in words what is wrong."""
        return bool(body.get("error") or _message(body))

    def from_exception(self, error: Exception) -> ModelError:
        """Return the error for a connection that failed or broke."""
        cause = error.__cause__ or error
        if isinstance(cause, aiohttp.ClientSSLError):
            detail = self.quote(str(cause))
            return self._target_error("no trusted connection", detail, "check --base-url")
        own_host = httpx.URL(self.base_url).raw_host.decode("ascii")
        if isinstance(cause, aiohttp.ClientConnectorError) and cause.host != own_host:
            hint = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
            return UnreachableError(f"cannot reach the proxy {cause.host}:{cause.port}", hint=hint)
        if isinstance(cause, aiohttp.ClientConnectorDNSError):
            return UnreachableError(
                f"cannot reach {self.base_url} (no such host)", hint="check --base-url"
            )
        if isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return UnreachableError(f"cannot reach {self.base_url}", hint=self.provider.start_hint)
        if isinstance(error, httpx.ReadTimeout):
            return self.interrupted("sent nothing in time")
        if isinstance(cause, aiohttp.ServerDisconnectedError):
            return self.interrupted("closed the connection without an answer")
        detail = self.quote(str(error)) or type(error).__name__
        return self.interrupted(f"the connection broke: {detail}")

    def interrupted(self, message: str) -> TransientError:
        """Return the error for an answer that is not whole."""
        return TransientError(message, source=self.source)

    def first_token_timeout(self, timeouts: RequestTimeouts) -> TransientError:
        """Return the error for a first token that does not come."""
        seconds = f"{timeouts.first_token:g} s"
        return self.interrupted(f"no token within {seconds} of the request (--first-token-timeout)")

    def token_timeout(self, timeouts: RequestTimeouts) -> TransientError:
        """Return the error for a further token that does not come."""
        seconds = f"{timeouts.between_tokens:g} s"
        return self.interrupted(f"no further token for {seconds} (--token-timeout)")

    def answer_timeout(self, timeouts: RequestTimeouts) -> AttemptError:
        """Return the error for an answer that takes too long as a whole, as another would."""
        return AttemptError(
            f"the answer was not whole after {timeouts.answer:g} s",
            hint="allow more with --answer-timeout, or less text with --max-tokens",
            source=self.source,
        )

    def malformed_chunk(self, start: str) -> TransientError:
        """Return the error for an event of the stream that is no chunk of a chat completion."""
        return self.interrupted(
            f"sent an event that is no chat completion chunk: {self.quote(start)}"
        )

    def content_filtered(self) -> AttemptError:
        """Return the error for an answer that a content filter ended."""
        return AttemptError(
            "the answer was withheld by the server's content filter", source=self.source
        )

    def unknown_encoding(self, encoding: str) -> TargetError:
        """Return the error for a body in an encoding that was not asked for."""
        name = self.quote(encoding)
        hint = "turn off compression at the server, or at the proxy before it"
        return self._target_error(f"sent Content-Encoding {name}, unasked", "", hint)

    def web_page(self, page: bytes) -> TargetError:
        """Return the error for a web page in place of an answer; its title often tells why."""
        title = self.quote(_parse_page(page.decode("utf-8", "replace")).message)
        return self._target_error(
            "sent a web page, which is no chat completion", title, "check --base-url"
        )

    def unexpected_content(
        self, content_type: str, expected: str = "chat completion"
    ) -> TargetError:
        """Return the error for a server that speaks another protocol."""
        content = self.quote(content_type).partition(";")[0] or "an unknown type"
        return self._target_error(f"sent {content}, which is no {expected}", "", "check --base-url")

    def _classify(
        self, title: str, status: int, error: ErrorBody, wait: float | None
    ) -> ModelError:
        text = self.quote(error.message)
        if _LOADING.search(error.kind) and status not in (401, 402, 403):
            return self._transient_error(title, text, wait, loading=True)
        if status in (400, 404, 422) and _FAILED.search(error.kind):
            return self._refused(self._transient_error(title, text, wait), text)
        if fatal := self._classify_target(title, status, error, text):
            return fatal
        if status != 429 and _CONTEXT.search(error.kind):
            hint = "allow a longer context, or less with --max-tokens"
            return self._attempt_error(title, text, hint)
        if status != 429 and _FILTER.search(error.kind):
            hint = "the server's content filter refuses this prompt"
            return self._attempt_error(title, text, hint)
        if status in TRANSIENT_STATUS or status >= 500:
            overload = status in OVERLOAD_STATUS
            transient = self._transient_error(title, text, wait, overload=overload)
            return transient if status in PASSING_STATUS else self._refused(transient, text)
        refusal = self._attempt_error(title, text, "the server refuses this request")
        return refusal if status == 413 else self._refused(refusal, text)

    def _classify_target(
        self, title: str, status: int, error: ErrorBody, text: str
    ) -> TargetError | None:
        """Return the error that every request to the target would meet, or None."""
        kind = error.kind
        if (_QUOTA.search(kind) and ALLOCATED_QUOTA not in kind) or status == 402:
            return self._target_error(title, text, "add credit to the account")
        if status != 429 and (_CONTEXT.search(kind) or _FILTER.search(kind)):
            return None
        if status in (401, 403) or (status == 400 and _KEY.search(kind)):
            verb = "check" if self.key else "set"
            hint = f"{verb} {self.provider.key_env or OWN_KEY_HINT}"
            return self._target_error(title, text, hint)
        if status in (400, 404, 422) and _MODEL.search(kind):
            return self._target_error(title, text, "choose a model of the server with --model")
        if status in (400, 422) and (param := _PARAMETER.search(kind)):
            flag = "--" + param[0].replace("completion_", "").replace("_", "-")
            if not _PROMPT.search(kind):  # then every request would meet the same error
                return self._target_error(title, text, f"change {flag}")
        if status in (404, 405):
            hint = f"check --model and --base-url {self.base_url}"
            return self._target_error(title, text, hint)
        return None

    def _refused(self, error: ModelError, text: str) -> ModelError:
        """Return the error with the words by which it is known if every request meets it."""
        error.refusal = _NUMBER.sub("#", text)
        error.lasts = isinstance(error, AttemptError) or bool(_LASTING.search(text.lower()))
        return error

    def _transient_error(
        self,
        title: str,
        text: str,
        wait: float | None,
        *,
        overload: bool = False,
        loading: bool = False,
    ) -> TransientError:
        return TransientError(
            _joined(title, text),
            source=self.source,
            retry_after=wait,
            overload=overload,
            loading=loading,
        )

    def _target_error(self, title: str, text: str, hint: str) -> TargetError:
        return TargetError(_joined(title, text), hint=hint, source=self.source)

    def _attempt_error(self, title: str, text: str, hint: str) -> AttemptError:
        return AttemptError(_joined(title, text), hint=hint, source=self.source)

    def quote(self, text: str) -> str:
        """Return foreign text as one short line, without the key and control characters."""
        if self.key:
            text = text.replace(self.key, "***")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= MAX_QUOTE_CHARS else text[: MAX_QUOTE_CHARS - 1] + "…"


def _joined(title: str, text: str) -> str:
    """Join a title and a server's text; a hint may follow, so its final full stop is removed."""
    text = text.rstrip(".")
    return f"{title}: {text}" if text else title
