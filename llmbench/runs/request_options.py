"""The options of requests: models, cost and waits, and the file that adds to them."""

from pathlib import Path
from typing import ClassVar

from attrs import field, frozen

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
            default="prices that the server reports",
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
