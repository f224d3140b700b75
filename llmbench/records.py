"""The nouns of llmbench, frozen, and the one schema of a result row."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

LOG_HEAD_CHARS = 2000
"""Longest `log_head` in a row; the whole log is kept in the work folder."""

CUT_REASONS = frozenset({"length", "max_tokens", "model_length"})
"""Finish reasons, in lower case, of an answer that was cut at a limit of tokens."""


class Outcome(StrEnum):
    """What became of an attempt: a closed set."""

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
        """True when the fault is not the model's: never scored, always counted aloud."""
        return self in (Outcome.PROVIDER_ERROR, Outcome.SANDBOX_ERROR)

    @property
    def score(self) -> float | None:
        """100 for passed, 0 for the model's other outcomes, None for infrastructure errors."""
        if self.is_infrastructure:
            return None
        return 100.0 if self is Outcome.PASSED else 0.0


@dataclass(frozen=True)
class Problem:
    """One coding problem: what is asked and the tests that judge an answer.

    `tests` and `files` map relative paths to texts. `timeout` is in seconds of processor time, or
    "5x": a multiple of what the reference takes. `options` are the runner's own settings, for
    example how strict its compiler is. `compile_errors` names the wrong answers that the compiler
    must refuse; `origin` and `license` say where a problem comes from.
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

    @property
    def timeout_factor(self) -> float | None:
        """The limit as a multiple of the reference's processor time, where it is stated so."""
        return float(self.timeout.removesuffix("x")) if isinstance(self.timeout, str) else None

    @cached_property
    def sha256(self) -> str:
        """Hash of all that decides a grade: two results pair only where it is equal."""
        deciding = {
            "id": self.id,
            "lang": self.lang,
            "prompt": self.prompt,
            "tests": dict(self.tests),
            "files": dict(self.files),
            "options": dict(self.options),
            "timeout": self.timeout,
        }
        canonical = json.dumps(deciding, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a request asks of the sampler; None leaves the server's default.

    `seed` is that of run 1; run n sends seed + n - 1, so that runs differ and can be repeated.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one server, with its sampling parameters. Holds no key.

    `extra` is what else each request holds, as JSON.
    """

    provider: str
    model: str
    base_url: str
    sampling: Sampling = Sampling()
    extra: str = "{}"

    @property
    def label(self) -> str:
        """Name shown to people: provider/model."""
        return f"{self.provider}/{self.model}"

    @property
    def slug(self) -> str:
        """The label as one safe folder name."""
        return re.sub(r"[^A-Za-z0-9._-]+", "_", self.label).strip(".")


class Message(NamedTuple):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class AttemptKey(NamedTuple):
    """What tells one attempt from all others of a run; round 1 is the first answer."""

    target: str
    problem_id: str
    run: int
    round: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run (1..N) of one problem by one target; `known_completion` is an answer that is there already.

    `followups` is what was said since the problem was told: an answer that did not pass and what was
    wrong with it, for each round that came before.
    """

    target: Target
    problem: Problem
    run: int
    known_completion: "Completion | None" = None
    followups: tuple[Message, ...] = ()

    @property
    def round(self) -> int:
        """1 for the first answer, 2 for its first repair."""
        return 1 + len(self.followups) // 2

    @property
    def key(self) -> AttemptKey:
        """Target label, problem id, run and round."""
        return AttemptKey(self.target.label, self.problem.id, self.run, self.round)

    def next_round(self, *said: Message) -> "Attempt":
        """The next round, after these two messages."""
        return replace(self, followups=(*self.followups, *said))


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; None where they are not known."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer to one attempt.

    `llm_seconds` spans the final try, from its request to its last byte; `ttft_seconds` from its
    request to the first token of any kind, `ttfa_seconds` to the first of the answer after its
    reasoning; `queue_seconds` is the wait for a model slot and `cost_usd` the cost as far as it is
    known, both over all tries. `usage_source` tells whether prompt and completion tokens are the
    server's own. `model` and `provider` are as the
    server reported them. `unsupported_params` names the sampling parameters that were not sent. `has_timings` is
    False where nobody told how the answer came: its times and tries mean nothing then. `from_cache` is
    True when an earlier run bought it.
    """

    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    llm_seconds: float = 0.0
    ttft_seconds: float | None = None
    queue_seconds: float = 0.0
    requests: int = 1
    model: str | None = None
    provider: str | None = None
    ttfa_seconds: float | None = None
    usage_source: Literal["server", "estimated"] | None = None
    unsupported_params: tuple[str, ...] = ()
    from_cache: bool = False
    has_timings: bool = True

    @property
    def truncated(self) -> bool:
        """True when the answer was cut at the token limit, or at the end of the context."""
        return (self.finish_reason or "").lower() in CUT_REASONS

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens after the first, over the seconds after the first token."""
        tokens, ttft = self.usage.completion_tokens, self.ttft_seconds
        if tokens is None or tokens < 2 or ttft is None or self.llm_seconds <= ttft:
            return None
        return (tokens - 1) / (self.llm_seconds - ttft)


@dataclass(frozen=True, slots=True)
class Submission:
    """Files to place in the work folder, and what the runner is told.

    `lang` names the runner folder; `timeout` is the wall limit of the tests in seconds and
    `cpu_seconds` that of their processor time, which holds however busy the machine is.
    """

    key: AttemptKey
    lang: str
    files: Mapping[str, str]
    timeout: float
    cpu_seconds: float
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the sandbox found.

    `seconds` is the wall time of the tests inside the sandbox, `cpu_seconds` the processor time
    they took where the sandbox can tell. `log` is what the tests printed, bounded in size.
    """

    outcome: Outcome
    exit_code: int | None = None
    tests_passed: int | None = None
    tests_total: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    log: str = ""


class Column(NamedTuple):
    """One column of a result row: name, type, unit and meaning.

    `default` is the value for older files without the column; None where there is none.
    `formerly` is the name of the column in older files, None where it was never renamed.
    """

    name: str
    type: type
    nullable: bool
    unit: str
    meaning: str
    default: int | None = None
    formerly: str | None = None


class ColumnInfo(NamedTuple):
    """Meaning and unit of a column, and the name that older files have for it."""

    meaning: str
    unit: str = ""
    formerly: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt, flat: the only declaration of the columns of every result file.

    Missing is None, never 0. A table of results holds first answers alone; later rounds have a
    table of their own.
    """

    problem_id: Annotated[str, ColumnInfo("problem that was asked")]
    lang: Annotated[str, ColumnInfo("language of the problem: its runner's folder")]
    run: Annotated[int, ColumnInfo("1..N")]
    score: Annotated[
        float | None,
        ColumnInfo("100 passed, 0 not passed, null when not the model's failure", "points"),
    ]
    passed: Annotated[bool | None, ColumnInfo("score is 100; null as score")]
    exit_code: Annotated[int | None, ColumnInfo("of the test run; null when no test ran")]
    llm_seconds: Annotated[float | None, ColumnInfo("final try, request to last byte", "s")]
    log_head: Annotated[
        str, ColumnInfo(f"first {LOG_HEAD_CHARS} characters of the log or the error")
    ]
    outcome: Annotated[str, ColumnInfo("one of " + ", ".join(Outcome))]
    provider: Annotated[str, ColumnInfo("name of the provider")]
    model: Annotated[str, ColumnInfo("model that was asked for")]
    target: Annotated[str, ColumnInfo("provider/model")]
    round: Annotated[int, ColumnInfo("1 the first answer, 2 its first repair, and so on")] = 1
    model_reported: Annotated[str | None, ColumnInfo("model as the server named it")]
    provider_reported: Annotated[str | None, ColumnInfo("who a router says gave the answer")]
    finish_reason: Annotated[str | None, ColumnInfo("why the answer ended, as the server said")]
    extraction: Annotated[str | None, ColumnInfo("how the code was found in the answer")]
    tests_passed: Annotated[int | None, ColumnInfo("tests that passed", "tests")]
    tests_total: Annotated[int | None, ColumnInfo("tests that ran", "tests")]
    ttft_seconds: Annotated[float | None, ColumnInfo("request to first token of any kind", "s")]
    ttfa_seconds: Annotated[
        float | None, ColumnInfo("request to first token of the answer, after its reasoning", "s")
    ]
    tokens_per_second: Annotated[float | None, ColumnInfo("after the first token", "tokens/s")]
    queue_seconds: Annotated[float | None, ColumnInfo("wait for a model slot, all tries", "s")]
    test_seconds: Annotated[float | None, ColumnInfo("tests in the sandbox, wall", "s")]
    test_cpu_seconds: Annotated[float | None, ColumnInfo("tests in the sandbox, processor", "s")]
    usage_source: Annotated[
        str | None, ColumnInfo("who counted the next two: server, or estimated (4 bytes a token)")
    ]
    prompt_tokens: Annotated[int | None, ColumnInfo("of the whole prompt", "tokens")]
    completion_tokens: Annotated[int | None, ColumnInfo("answer and reasoning", "tokens")]
    reasoning_tokens: Annotated[int | None, ColumnInfo("part of completion_tokens", "tokens")]
    cached_tokens: Annotated[int | None, ColumnInfo("part of prompt_tokens", "tokens")]
    cost_usd: Annotated[
        float | None,
        ColumnInfo(
            "all tries, as far as known: as the server said, else tokens times prices", "USD"
        ),
    ]
    requests: Annotated[
        int | None, ColumnInfo("requests made for this answer", "requests", "tries")
    ]
    max_tokens: Annotated[int | None, ColumnInfo("as sent; null if it was refused", "tokens")]
    temperature: Annotated[float | None, ColumnInfo("as sent; null if it was refused")]
    seed: Annotated[int | None, ColumnInfo("as sent for this run; null if it was refused")]
    replayed: Annotated[
        bool,
        ColumnInfo("true: a recorded answer was replayed, no model was asked", formerly="recorded"),
    ]
    from_cache: Annotated[
        bool,
        ColumnInfo(
            "true: an earlier run's answer was reused; it has no timings", formerly="cached"
        ),
    ]
    sandbox: Annotated[str | None, ColumnInfo("where the tests ran")]
    difficulty: Annotated[str | None, ColumnInfo("as the problem says")]
    tags: Annotated[str, ColumnInfo("of the problem, joined by commas")]
    problem_sha256: Annotated[str, ColumnInfo("hash of all in the problem that decides a grade")]


def columns() -> tuple[Column, ...]:
    """The columns of a result row in file order, read off `Row`."""
    hints = get_type_hints(Row, include_extras=True)
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(Row)}
    return tuple(_column(name, hints[name], default) for name, default in defaults.items())


def _column(name: str, hint: Any, default: int | None) -> Column:
    declared, info = get_args(hint)
    nullable = isinstance(declared, UnionType)
    plain = next(t for t in get_args(declared) if t is not type(None)) if nullable else declared
    return Column(name, plain, nullable, info.unit, info.meaning, default, info.formerly)
