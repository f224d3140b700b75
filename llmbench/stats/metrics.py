"""Comparison of times, tokens, costs and speeds, paired by problem."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

import polars as pl

from llmbench.stats.intervals import Interval, t_interval
from llmbench.stats.rates import ANSWERED, SERVER_TIMED
from llmbench.stats.ratios import Ratio, median_interval, median_ratio, ratio_of_totals


class Kind(NamedTuple):
    """A way to sum up the values of problems.

    `value` sums up those of one side and the differences, `interval` is that of the differences;
    `ratio` is of the candidates over the baselines.
    """

    value: Callable[[Iterable[float]], float]
    interval: Callable[[Sequence[float]], Interval | None]
    ratio: Callable[[Sequence[float], Sequence[float]], Ratio | None]


def _mean_interval(differences: Sequence[float]) -> Interval | None:
    return t_interval(differences) if len(differences) > 1 else None


KINDS: Mapping[str, Kind] = {
    "totals": Kind(fmean, _mean_interval, ratio_of_totals),
    "medians": Kind(median, median_interval, median_ratio),
}
"""Times of whole answers, tokens and costs add up, so their ratio is of totals. Speeds and times to
the first token do not, and a few slow requests must not decide: they are medians over problems."""


class Metric(NamedTuple):
    """A column that is compared beside the pass rate: its unit, and the name of its kind."""

    unit: str
    kind: str


METRICS: Mapping[str, Metric] = {
    "ttft_seconds": Metric("s", "medians"),
    "tokens_per_second": Metric("tokens/s", "medians"),
    "prompt_tokens_per_second": Metric("tokens/s", "medians"),
    "decode_tokens_per_second": Metric("tokens/s", "medians"),
    "llm_seconds": Metric("s", "totals"),
    "completion_tokens": Metric("tokens", "totals"),
    "cost_usd": Metric("USD", "totals"),
}

METRIC_DIFFERENCES: Mapping[str, type[pl.DataType]] = {
    "metric": pl.String,
    "unit": pl.String,
    "problems": pl.Int64,
    "value_baseline": pl.Float64,
    "value_candidate": pl.Float64,
    "difference": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "ratio_of": pl.String,
    "ratio": pl.Float64,
    "ratio_ci_low": pl.Float64,
    "ratio_ci_high": pl.Float64,
}


def metric_values() -> Iterator[pl.Expr]:
    """Yield the value of each metric over the answers to one problem.

    Times to the first token and the server's speeds are medians. Our own speed is the total of the
    tokens over the total of the time in which they came. Anything else is a mean.
    """
    for name, metric in METRICS.items():
        values = pl.col(name).filter(ANSWERED)
        if name == "tokens_per_second":
            yield total_speed()
        elif name == "decode_tokens_per_second":
            yield pl.col(name).filter(ANSWERED & SERVER_TIMED).median()
        elif metric.kind == "medians":
            yield values.median()
        else:
            yield values.mean()


def total_speed() -> pl.Expr:
    """Return all tokens of some answers over all time in which they came, as `tokens_per_second`.

    Older files have no `stream_seconds`: there it is the time after the first token. Without either
    time it is the median.
    """
    seconds = pl.coalesce("stream_seconds", pl.col("llm_seconds") - pl.col("ttft_seconds"))
    timed = ANSWERED & pl.col("tokens_per_second").is_not_null() & (seconds > 0)
    tokens = (pl.col("tokens_per_second") * seconds).filter(timed).sum()
    time = seconds.filter(timed).sum()
    middle = pl.col("tokens_per_second").filter(ANSWERED).median()
    return pl.when(time > 0).then(tokens / time).otherwise(middle).alias("tokens_per_second")


def compare_metrics(
    common: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> Iterator[dict[str, Any]]:
    """Yield a line per metric, over the problems that have it on both sides."""
    for name, (unit, kind_name) in METRICS.items():
        kind = KINDS[kind_name]
        both = [
            (old[name], new[name])
            for old, new in common
            if old[name] is not None and new[name] is not None
        ]
        if not both:
            continue
        differences = [new - old for old, new in both]
        baselines, candidates = [old for old, _ in both], [new for _, new in both]
        low, high = kind.interval(differences) or (None, None)
        ratio = kind.ratio(baselines, candidates)
        bounds = ratio.interval if ratio and ratio.interval else (None, None)
        yield {
            "metric": name,
            "unit": unit,
            "problems": len(both),
            "value_baseline": kind.value(baselines),
            "value_candidate": kind.value(candidates),
            "difference": kind.value(differences),
            "ci_low": low,
            "ci_high": high,
            "ratio_of": kind_name,
            "ratio": ratio.value if ratio else None,
            "ratio_ci_low": bounds[0],
            "ratio_ci_high": bounds[1],
        }
