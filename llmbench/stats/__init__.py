"""Rates, intervals and paired tests over result rows (pure: no files, no clock, no output).

Two ways of thinking run through it. The *problem* is what was drawn by chance: runs of one problem
resemble each other, so errors are clustered by problem (Miller 2024, "Adding Error Bars to Evals",
https://arxiv.org/abs/2411.00640). And an attempt that failed for no fault of the model has no score
and is in no rate.
"""

from llmbench.stats.comparing import ALPHA, CHANGES, Compared, compare
from llmbench.stats.history import history, newest
from llmbench.stats.intervals import (
    LEVEL,
    Interval,
    bootstrap,
    clustered_error,
    clustered_interval,
    normal_quantile,
    student_interval,
    student_quantile,
    wilson,
)
from llmbench.stats.paired import (
    POWER,
    detectable,
    difference_interval,
    holm,
    least_p,
    mcnemar,
    sign_flip,
)
from llmbench.stats.rates import (
    by_tag,
    cost_bounds,
    pass_at_k,
    pass_hat_k,
    pass_rates_at,
    percentiles,
    rates,
)
from llmbench.stats.rounds import by_round

__all__ = [
    "ALPHA",
    "CHANGES",
    "LEVEL",
    "POWER",
    "Compared",
    "Interval",
    "bootstrap",
    "by_round",
    "by_tag",
    "clustered_error",
    "clustered_interval",
    "compare",
    "cost_bounds",
    "detectable",
    "difference_interval",
    "history",
    "holm",
    "least_p",
    "mcnemar",
    "newest",
    "normal_quantile",
    "pass_at_k",
    "pass_hat_k",
    "pass_rates_at",
    "percentiles",
    "rates",
    "sign_flip",
    "student_interval",
    "student_quantile",
    "wilson",
]
