"""The options of requests: models, cost and waits, and the file that adds to them."""

import json
from pathlib import Path
from typing import ClassVar

from attrs import field, frozen

from llmbench import prompts
from llmbench.errors import UsageError
from llmbench.models.extra_fields import parse_params
from llmbench.models.providers import PROVIDERS
from llmbench.options import (
    Options,
    number,
    option,
    optional_path,
    strings,
    whole_number,
)
from llmbench.plan import FIRST_RUNS, MAX_TOKENS, MOST_RUNS, RUNS, RequestTimeouts
from llmbench.records import Sampling
from llmbench.runs.request_values import EFFORT, LABEL, assignments, read_text_or_file

MAX_RUNS = 1_000_000
"""With it the seed of each run fits into 64 bits."""

_SECONDS = number(0.1, 86400)
_TIMEOUTS = RequestTimeouts()


@frozen(kw_only=True, slots=False)
class ConfigOptions(Options):
    """The user's file of providers and languages."""

    TITLE: ClassVar[str] = "configuration"

    config: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "YAML file with more providers and languages",
            "FILE",
            default="llmbench.yaml, if there is one",
        ),
    )


@frozen(kw_only=True, slots=False)
class ModelOptions(ConfigOptions):
    """Models and the requests to them."""

    TITLE: ClassVar[str] = "models and requests"

    provider: str = field(
        default="lmstudio",
        metadata=option(
            f"one of {', '.join(PROVIDERS)}, or one of --config", "NAME", everyday=True
        ),
    )
    model: tuple[str, ...] = field(
        default=(),
        converter=strings,
        metadata=option(
            "model to ask; repeatable",
            "ID",
            default="the only one that the server offers",
            everyday=True,
        ),
    )
    base_url: str | None = field(
        default=None,
        metadata=option("address of the server", "URL", default="the provider's", everyday=True),
    )
    target: tuple[str, ...] = field(
        default=(),
        converter=strings,
        metadata=option(
            "model of any provider, as in the column target; repeatable, with or without --model",
            "PROVIDER/MODEL",
            default="none",
        ),
    )
    runs: int = field(
        default=RUNS,
        metadata=option(
            "times each problem is asked, with --until at most",
            "N",
            default=f"{RUNS}; with --until {MOST_RUNS}",
            check=whole_number(1, MAX_RUNS),
            everyday=True,
        ),
    )
    until: float | None = field(
        default=None,
        metadata=option(
            f"after {FIRST_RUNS} runs, add a run of each problem until the 95% interval of the "
            "target's pass rate is within ± so many percentage points, or --runs is reached",
            "POINTS",
            default="all --runs",
            check=number(0.5, 50),
            everyday=True,
        ),
    )
    max_repairs: int = field(
        default=0,
        metadata=option(
            "ask again up to N times when tests fail, and show the model the test log",
            "N",
            check=whole_number(0, 1000),
            former=["--repair"],
        ),
    )
    concurrency: int | None = field(
        default=None,
        metadata=option(
            "at most N answers stream at once from a server",
            "N",
            default="the provider's, 1 to 16",
            check=whole_number(1, 100_000),
            everyday=True,
        ),
    )
    rpm: float | None = field(
        default=None,
        metadata=option(
            "at most N requests per minute to a server",
            "N",
            default="no limit",
            check=number(0.01, 1e6),
        ),
    )
    tpm: float | None = field(
        default=None,
        metadata=option(
            "at most N tokens per minute of a server, prompts included",
            "N",
            default="no limit",
            check=number(1, 1e9),
        ),
    )
    warm_up: bool = field(
        default=True,
        metadata=option("load a local model before timing", default="yes", negatable=True),
    )
    keep_loaded: bool = field(
        default=False,
        metadata=option(
            "leave local models loaded, and do not unload one before the next is asked",
            default="unload it",
        ),
    )
    context: int | None = field(
        default=None,
        metadata=option(
            "context in tokens that local models are loaded with; LM Studio and Ollama take it",
            "N",
            default="the server's",
            check=whole_number(256, 10**8),
        ),
    )
    alternate: bool = field(
        default=True,
        metadata=option(
            "tests wait while a model on this machine answers, so that they do not slow it down",
            default="yes",
            negatable=True,
        ),
    )
    max_tokens: int = field(
        default=MAX_TOKENS,
        metadata=option(
            "longest answer in tokens, reasoning included",
            "N",
            check=whole_number(1, 10**9),
            everyday=True,
        ),
    )
    temperature: float | None = field(
        default=None,
        metadata=option(
            "sampling temperature",
            "T",
            default="the server's",
            check=number(0, 2),
            everyday=True,
        ),
    )
    seed: int | None = field(
        default=None,
        metadata=option(
            "sampling seed of run 1; run n sends N + n - 1",
            "N",
            default="none",
            check=whole_number(0, 2**63 - MAX_RUNS),
        ),
    )

    top_p: float | None = field(
        default=None,
        metadata=option("nucleus sampling", "P", default="the server's", check=number(0, 1)),
    )
    top_k: int | None = field(
        default=None,
        metadata=option(
            "sample from the K likeliest tokens; 0 or -1: from all, as the server has it",
            "K",
            default="the server's",
            check=whole_number(-1, 10**6),
        ),
    )
    min_p: float | None = field(
        default=None,
        metadata=option(
            "sample from tokens at least P times as likely as the likeliest",
            "P",
            default="the server's",
            check=number(0, 1),
        ),
    )
    reasoning_effort: str | None = field(
        default=None,
        metadata=option(
            "reasoning before the answer, as the server calls it: none, minimal, low, medium, high",
            "EFFORT",
            default="the server's",
            check=EFFORT,
        ),
    )
    system: str | None = field(
        default=None,
        metadata=option(
            "system prompt in place of llmbench's own, in any language",
            "FILE|TEXT",
            default="an expert programmer who answers with one file",
        ),
    )
    param: tuple[str, ...] = field(
        default=(),
        converter=assignments,
        metadata=option(
            "further field of each request, its value in JSON; a dot leads into an object; "
            "repeatable",
            "NAME=VALUE",
            default="none",
        ),
    )
    label: str | None = field(
        default=None,
        metadata=option(
            "name that tells these targets from the same models with other parameters: "
            "PROVIDER/MODEL#NAME",
            "NAME",
            default="none",
            check=LABEL,
        ),
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        _ = self.params, self.system_prompt

    @property
    def params(self) -> str:
        """The fields of `param`, as JSON.

        Raises:
            UsageError: one of them is no field that may be added.
        """
        try:
            return json.dumps(parse_params(self.param), sort_keys=True, ensure_ascii=False)
        except ValueError as error:
            raise UsageError(f"param: {error}") from None

    @property
    def system_prompt(self) -> str | None:
        """The text of `system`, or of the file that it names; None for llmbench's own.

        Raises:
            UsageError: the file cannot be read.
        """
        return None if self.system is None else read_text_or_file(self.system)

    def sampling(self, seed: int | None) -> Sampling:
        """Return the parameters of each request."""
        system = self.system_prompt
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seed=seed,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            reasoning_effort=self.reasoning_effort,
            system=system,
            system_sha256=None if system is None else prompts.sha256(system),
            params=self.params,
        )

    @property
    def most_runs(self) -> int:
        """How often each problem is asked, with `until` at most."""
        return self.runs if self.until is None or "runs" in self.explicit else MOST_RUNS


@frozen(kw_only=True, slots=False)
class CostOptions(Options):
    """Prices, and the most that a run may cost."""

    TITLE: ClassVar[str] = "cost"

    prices: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "YAML or JSON file, model: {prompt: USD, completion: USD, cached: USD} per million "
            "tokens",
            "FILE",
            default="prices that the server reports, else those of genai-prices",
        ),
    )
    max_cost: float | None = field(
        default=None,
        metadata=option(
            "send no request once the run has cost USD; requests under way are still paid",
            "USD",
            default="no limit",
            check=number(1e-6, 1e9),
        ),
    )


@frozen(kw_only=True, slots=False)
class TimeoutOptions(Options):
    """The longest waits for an answer, in seconds."""

    TITLE: ClassVar[str] = "waiting for an answer"

    connect_timeout: float = field(
        default=_TIMEOUTS.connect,
        metadata=option("longest wait for a connection, in seconds", "S", check=_SECONDS),
    )
    first_token_timeout: float = field(
        default=_TIMEOUTS.first_token,
        metadata=option(
            "longest wait from request to first token, in seconds", "S", check=_SECONDS
        ),
    )
    token_timeout: float = field(
        default=_TIMEOUTS.between_tokens,
        metadata=option("longest wait from one token to the next, in seconds", "S", check=_SECONDS),
    )
    answer_timeout: float = field(
        default=_TIMEOUTS.answer,
        metadata=option("longest time for a whole answer, in seconds", "S", check=_SECONDS),
    )

    @property
    def timeouts(self) -> RequestTimeouts:
        """The waits as one value."""
        return RequestTimeouts(
            connect=self.connect_timeout,
            first_token=self.first_token_timeout,
            between_tokens=self.token_timeout,
            answer=self.answer_timeout,
        )


@frozen(kw_only=True, slots=False)
class RequestOptions(ModelOptions, CostOptions, TimeoutOptions):
    """Everything about requests: models, cost and waits."""
