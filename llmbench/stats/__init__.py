"""Rates, intervals and paired tests over result rows (pure: no files, no clock, no output).

Two assumptions hold throughout. Problems are the random sample: runs of one problem resemble each
other, so errors are clustered by problem (Miller 2024, "Adding Error Bars to Evals",
https://arxiv.org/abs/2411.00640). An infrastructure error has no score and counts in no rate.
"""

from llmbench.stats.beta_binomial import margin, pass_rate_interval, rate_interval
from llmbench.stats.comparison import ALPHA, Comparison, compare
from llmbench.stats.flips import CHANGES, FALSE_DISCOVERIES, find_flips, flips_by_chance
from llmbench.stats.groups import letters
from llmbench.stats.history import history, latest
from llmbench.stats.intervals import (
    CONFIDENCE,
    Interval,
    bootstrap,
    clustered_error,
    clustered_interval,
    normal_quantile,
    t_interval,
    t_quantile,
    wilson,
)
from llmbench.stats.items import item_statistics, saturation
from llmbench.stats.nights import MONTH, State, judge
from llmbench.stats.paired import (
    POWER,
    difference_interval,
    holm,
    mcnemar,
    min_detectable_difference,
    min_p_value,
    sign_flip,
)
from llmbench.stats.rates import (
    by_tag,
    cost_interval,
    pass_at_k,
    pass_hat_k,
    pass_rates_at,
    percentiles,
    summarize,
)
from llmbench.stats.repairs import repair_rounds
from llmbench.stats.stability import MORE, run_agreement, stability, variance_split
from llmbench.stats.within import Passes, fewer_passes

__all__ = [
    "ALPHA",
    "CHANGES",
    "CONFIDENCE",
    "FALSE_DISCOVERIES",
    "MONTH",
    "MORE",
    "POWER",
    "Comparison",
    "Interval",
    "Passes",
    "State",
    "bootstrap",
    "by_tag",
    "clustered_error",
    "clustered_interval",
    "compare",
    "cost_interval",
    "difference_interval",
    "fewer_passes",
    "find_flips",
    "flips_by_chance",
    "history",
    "holm",
    "item_statistics",
    "judge",
    "latest",
    "letters",
    "margin",
    "mcnemar",
    "min_detectable_difference",
    "min_p_value",
    "normal_quantile",
    "pass_at_k",
    "pass_hat_k",
    "pass_rate_interval",
    "pass_rates_at",
    "percentiles",
    "rate_interval",
    "repair_rounds",
    "run_agreement",
    "saturation",
    "sign_flip",
    "stability",
    "summarize",
    "t_interval",
    "t_quantile",
    "variance_split",
    "wilson",
]
