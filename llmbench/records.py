"""The records that llmbench passes on, frozen, and the columns of a result row."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from functools import cache, cached_property
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

from llmbench.column_types import Column, ColumnInfo
from llmbench.completions import MIN_CHUNKS, MIN_STREAM_SECONDS, Completion, TimingSource

LOG_HEAD_CHARS = 2000
"""Maximum length of `log_head` in a row. The whole log is kept in the work folder."""

ONLY_REASONING = "only_reasoning"
"""Value of the column `extraction` for an answer whose whole text came as reasoning."""

SLUG_CHARS = 120
"""Maximum length of a target's folder name; file systems allow 255, with suffixes."""
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9-][A-Za-z0-9.-]*/[A-Za-z0-9._-]*[A-Za-z0-9_-]")


class Outcome(StrEnum):
    """The result of an attempt: a closed set."""

    PASSED = "passed"
    FAILED = "failed"
    COMPILE_ERROR = "compile_error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NO_CODE = "no_code"
    TRUNCATED = "truncated"
    PROVIDER_ERROR = "provider_error"
    SANDBOX_ERROR = "sandbox_error"

    @property
    def is_infrastructure(self) -> bool:
        """True if the model is not at fault. Such attempts are counted but never scored."""
        return self in (Outcome.PROVIDER_ERROR, Outcome.SANDBOX_ERROR)

    @property
    def score(self) -> float | None:
        """100 for passed, 0 for the model's other outcomes, None for infrastructure errors."""
        return None if self.is_infrastructure else 100.0 * (self is Outcome.PASSED)


@dataclass(frozen=True)
class Problem:
    """A coding problem: a prompt, and the tests that grade an answer.

    `lang` names the language, `prompt` describes the task. `tests` and `files` (support files) map
    relative paths to texts. `reference` is a correct solution; `wrong_answers` are named answers
    that must not pass, and `compile_errors` names those of them that must not compile. `timeout`
    is in seconds of processor time, or "5x": a multiple of the reference's. `options` are settings
    of the runner, for example how strict its compiler is. `tags` and `difficulty` classify the
    problem. `origin` names its source, `license` the terms of its use. With `completion`
    an answer may be the body of the function whose head ends the prompt's stub.
    """

    id: str
    lang: str
    prompt: str
    tests: Mapping[str, str]
    reference: str | None = None
    wrong_answers: Mapping[str, str] = field(default_factory=dict)
    timeout: float | str | None = None
    tags: tuple[str, ...] = ()
    difficulty: Literal["easy", "medium", "hard"] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    compile_errors: tuple[str, ...] = ()
    origin: str | None = None
    license: str | None = None
    completion: Literal["prepend"] | None = None

    @property
    def timeout_factor(self) -> float | None:
        """The multiple of the reference's processor time; None if `timeout` is no multiple."""
        return float(self.timeout.removesuffix("x")) if isinstance(self.timeout, str) else None

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that decides a grade. Results pair only if it is equal."""
        deciding = {
            "id": self.id,
            "lang": self.lang,
            "prompt": self.prompt,
            "tests": dict(self.tests),
            "files": dict(self.files),
            "options": dict(self.options),
            "timeout": self.timeout,
        } | ({"completion": self.completion} if self.completion else {})
        canonical = json.dumps(deciding, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sampling:
    """The parameters of a request; None leaves the server's default.

    `seed` is the seed of run 1. Run n sends seed + n - 1, so that runs differ and can be repeated.
    `system` replaces the system prompt of llmbench; `system_sha256` is its hash. `params` holds
    further fields of the request body, as JSON.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    reasoning_effort: str | None = None
    system: str | None = None
    system_sha256: str | None = None
    params: str = "{}"


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one server, with its sampling parameters. Holds no key.

    `extra` holds the further fields of each request body of the provider, as JSON. `variant` tells
    targets apart that are the same model with other parameters.
    """

    provider: str
    model: str
    base_url: str
    sampling: Sampling = Sampling()
    extra: str = "{}"
    variant: str | None = None

    @property
    def label(self) -> str:
        """The name that people see: provider/model, or provider/model#variant."""
        return target_label(self.provider, self.model, self.variant)

    @classmethod
    def from_label(cls, label: str) -> "Target":
        """Return a target of this label, of which nothing else is known."""
        provider, _, name = label.partition("/")
        model, mark, variant = name.rpartition("#")
        return cls(provider, model if mark else name, "", variant=variant if mark else None)

    @property
    def slug(self) -> str:
        """The label as a folder name that no other label has: a plain name, or one with a hash."""
        if len(self.label) <= SLUG_CHARS and _PLAIN_LABEL.fullmatch(self.label):
            return self.label.replace("/", "_")
        start = re.sub(r"[^A-Za-z0-9._-]+", "_", self.label)[: SLUG_CHARS - 13].strip("._")
        digest = hashlib.sha256(self.label.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{start}~{digest[:12]}"


def target_label(provider: str, model: str, variant: str | None = None) -> str:
    """Return the label of a target with these fields."""
    return f"{provider}/{model}" + (f"#{variant}" if variant else "")


class Message(NamedTuple):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class AttemptKey(NamedTuple):
    """The key of an attempt, unique within a run; round 1 is the first answer."""

    target: str
    problem_id: str
    run: int
    round: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run (1..N) of one problem by one target.

    `known_completion` is an answer that needs no request. `followups` are the messages after the
    prompt: for each earlier round, the answer and the feedback on it.
    """

    target: Target
    problem: Problem
    run: int
    known_completion: Completion | None = None
    followups: tuple[Message, ...] = ()

    @property
    def round(self) -> int:
        """1 for the first answer, 2 for its first repair."""
        return 1 + len(self.followups) // 2

    @property
    def key(self) -> AttemptKey:
        """Target label, problem id, run and round."""
        return AttemptKey(self.target.label, self.problem.id, self.run, self.round)

    def next_round(self, answer: Message, feedback: Message) -> "Attempt":
        """Return the attempt that follows this one, after these two messages."""
        return replace(self, followups=(*self.followups, answer, feedback))


@dataclass(frozen=True, slots=True)
class Submission:
    """An answer's code and its tests, ready for a sandbox.

    `lang` names the runner's folder. `files` map paths in the work folder to texts. `timeout`
    bounds the tests in seconds by the clock; `cpu_seconds` bounds their processor time, which does
    not depend on the machine's load. `options` are settings of the runner.
    """

    key: AttemptKey
    lang: str
    files: Mapping[str, str]
    timeout: float
    cpu_seconds: float
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the tests of one submission.

    `exit_code` is that of the runner. `tests_passed` and `tests_total` count tests. `seconds` is
    the time of the tests inside the sandbox by the clock. `cpu_seconds` is their processor time,
    None if the sandbox cannot measure it. `log` is the output of the tests, bounded in size.
    """

    outcome: Outcome
    exit_code: int | None = None
    tests_passed: int | None = None
    tests_total: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt, flat. This is the only declaration of the columns of every result file.

    A missing value is None, never 0. Result tables hold first answers only; repairs have a table
    of their own.
    """

    problem_id: Annotated[str, ColumnInfo("id of the problem")]
    lang: Annotated[str, ColumnInfo("language of the problem: the folder of its runner")]
    run: Annotated[int, ColumnInfo("1..N")]
    score: Annotated[
        float | None,
        ColumnInfo("100 passed, 0 not passed, null if the model is not at fault", "points"),
    ]
    passed: Annotated[bool | None, ColumnInfo("true if score is 100; null if score is null")]
    exit_code: Annotated[int | None, ColumnInfo("of the test run; null if no test ran")]
    llm_seconds: Annotated[float | None, ColumnInfo("final request to its last byte", "s")]
    log_head: Annotated[
        str, ColumnInfo(f"first {LOG_HEAD_CHARS} characters of the test log or of the error")
    ]
    outcome: Annotated[str, ColumnInfo("one of " + ", ".join(Outcome))]
    provider: Annotated[str, ColumnInfo("provider of the server")]
    model: Annotated[str, ColumnInfo("model that was requested")]
    target: Annotated[str, ColumnInfo("provider/model, or provider/model#label")]
    round: Annotated[int, ColumnInfo("1 for the first answer, 2 for its first repair, …")] = 1
    model_reported: Annotated[str | None, ColumnInfo("model that the server reported")]
    provider_reported: Annotated[str | None, ColumnInfo("provider that a router reported")]
    finish_reason: Annotated[str | None, ColumnInfo("reason for the end of the answer")]
    extraction: Annotated[str | None, ColumnInfo("method that found the code in the answer")]
    tests_passed: Annotated[int | None, ColumnInfo("tests that passed", "tests")]
    tests_total: Annotated[int | None, ColumnInfo("tests that ran", "tests")]
    ttft_seconds: Annotated[
        float | None, ColumnInfo("final request to the first token of any kind", "s")
    ]
    ttfa_seconds: Annotated[
        float | None, ColumnInfo("final request to the first token after the reasoning", "s")
    ]
    tokens_per_second: Annotated[
        float | None,
        ColumnInfo(
            f"after the first chunk, by our clock; null below {MIN_CHUNKS} chunks or "
            f"{MIN_STREAM_SECONDS} s",
            "tokens/s",
        ),
    ]
    chunks: Annotated[int | None, ColumnInfo("pieces in which the text arrived", "chunks")] = None
    stream_seconds: Annotated[float | None, ColumnInfo("first chunk to the last", "s")] = None
    prompt_tokens_per_second: Annotated[
        float | None,
        ColumnInfo("reading the prompt, by the server's clock; null if mostly cached", "tokens/s"),
    ] = None
    decode_tokens_per_second: Annotated[
        float | None,
        ColumnInfo("writing the answer, by the server's clock if it tells, else ours", "tokens/s"),
    ] = None
    timing_source: Annotated[
        str | None, ColumnInfo("clock of the last two: " + ", ".join(TimingSource))
    ] = None
    drafted_tokens: Annotated[int | None, ColumnInfo("proposed by a draft model", "tokens")] = None
    accepted_tokens: Annotated[
        int | None, ColumnInfo("part of drafted_tokens that is in the answer", "tokens")
    ] = None
    queue_seconds: Annotated[
        float | None, ColumnInfo("wait for a model slot, over all requests", "s")
    ]
    test_seconds: Annotated[float | None, ColumnInfo("tests in the sandbox, by the clock", "s")]
    test_cpu_seconds: Annotated[
        float | None, ColumnInfo("tests in the sandbox, processor time", "s")
    ]
    usage_source: Annotated[
        str | None,
        ColumnInfo("source of the next two: server, or estimated (4 bytes a token)"),
    ]
    prompt_tokens: Annotated[int | None, ColumnInfo("of the whole prompt", "tokens")]
    completion_tokens: Annotated[int | None, ColumnInfo("answer and reasoning", "tokens")]
    reasoning_tokens: Annotated[int | None, ColumnInfo("part of completion_tokens", "tokens")]
    cached_tokens: Annotated[int | None, ColumnInfo("part of prompt_tokens", "tokens")]
    cost_usd: Annotated[
        float | None,
        ColumnInfo("known cost of all requests, from the server or from token prices", "USD"),
    ]
    cost_source: Annotated[
        str | None,
        ColumnInfo(
            "source of cost_usd: server (with the answer), prices of the server, --prices, or the "
            "price list with its version"
        ),
    ]
    requests: Annotated[
        int | None, ColumnInfo("requests for this answer", "requests", formerly="tries")
    ]
    max_tokens: Annotated[int | None, ColumnInfo("as sent; null if refused", "tokens")]
    temperature: Annotated[float | None, ColumnInfo("as sent; null if refused")]
    seed: Annotated[int | None, ColumnInfo("as sent for this run; null if refused")]
    top_p: Annotated[float | None, ColumnInfo("as sent; null if refused")]
    top_k: Annotated[int | None, ColumnInfo("as sent; null if refused")]
    min_p: Annotated[float | None, ColumnInfo("as sent; null if refused")]
    reasoning_effort: Annotated[str | None, ColumnInfo("as sent; null if refused")]
    params: Annotated[str | None, ColumnInfo("fields of --param, as JSON; null without any")]
    system_sha256: Annotated[
        str | None, ColumnInfo("hash of the prompt of --system; null: that of llmbench")
    ]
    has_reasoning: Annotated[
        bool | None, ColumnInfo("true: reasoning came with the answer; null if unknown")
    ]
    replayed: Annotated[
        bool,
        ColumnInfo("true: a recorded answer was replayed, no model was asked", formerly="recorded"),
    ]
    from_cache: Annotated[
        bool,
        ColumnInfo("true: an earlier run's answer was reused, without times", formerly="cached"),
    ]
    server: Annotated[str | None, ColumnInfo("server program and version, as it says")]
    quantization: Annotated[str | None, ColumnInfo("of the weights, as the server says")]
    parameters: Annotated[int | None, ColumnInfo("of the model, as the server says")]
    context_length: Annotated[
        int | None, ColumnInfo("of one request to the loaded model, as the server says", "tokens")
    ]
    sandbox: Annotated[str | None, ColumnInfo("sandbox that ran the tests")]
    difficulty: Annotated[str | None, ColumnInfo("difficulty of the problem")]
    tags: Annotated[str, ColumnInfo("tags of the problem, joined by commas")]
    problem_sha256: Annotated[
        str, ColumnInfo("hash of everything in the problem that decides a grade")
    ]


@cache
def columns() -> tuple[Column, ...]:
    """Return the columns of a result row in file order, as `Row` declares them."""
    hints = get_type_hints(Row, include_extras=True)
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(Row)}
    return tuple(_column(name, hints[name], default) for name, default in defaults.items())


def _column(name: str, hint: Any, default: int | None) -> Column:
    declared, info = get_args(hint)
    nullable = isinstance(declared, UnionType)
    plain = next(t for t in get_args(declared) if t is not type(None)) if nullable else declared
    return Column(name, plain, nullable, info.unit, info.meaning, default, info.formerly)
