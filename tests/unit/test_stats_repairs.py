"""Pass rates by round of repair."""

from statistics import fmean

import pytest
from helpers.factories import row
from hypothesis import given
from hypothesis import strategies as st

from llmbench import stats
from llmbench.store import tables

Chains = list[list[bool]]  # per attempt: True for each round that passed


CHAINS: st.SearchStrategy[Chains] = st.lists(
    st.integers(1, 4).flatmap(
        lambda rounds: st.booleans().map(lambda passed: [False] * (rounds - 1) + [passed])
    ),
    min_size=1,
    max_size=20,
)


@given(CHAINS)
def test_the_rate_of_a_round_counts_every_pass_so_far_over_all_first_answers(
    chains: Chains,
) -> None:
    rows = [
        row(
            **{"problem_id": f"p{i % 5}", "run": i, "round": number},
            score=100.0 * passed,
            passed=passed,
            outcome="passed" if passed else "failed",
        )
        for i, chain in enumerate(chains)
        for number, passed in enumerate(chain, 1)
    ]
    first, repairs = (
        tables.to_frame(r for r in rows if (r.round == 1) is first) for first in (True, False)
    )
    lines = stats.repair_rounds(first, repairs).to_dicts()
    assert [line["round"] for line in lines] == list(range(1, 1 + max(map(len, chains))))
    for line in lines:
        number = line["round"]
        passed = [chain[number - 1] for chain in chains if len(chain) >= number]
        assert (line["attempts"], line["scored"]) == (len(passed), len(passed))
        assert line["passed"] == sum(passed)
        assert line["tokens"] == len(passed) * 30
        assert line["cost_usd"] == pytest.approx(len(passed) * 0.001)
        by_then = [any(chain[:number]) for chain in chains]
        assert line["pass_rate"] == pytest.approx(fmean(by_then))
    (plain,) = stats.summarize(first, ["target"]).to_dicts()
    assert all(lines[0][name] == plain[name] for name in ("pass_rate", "ci_low", "ci_high"))


def test_unscored_repairs_do_not_raise_the_rate_of_a_round() -> None:
    lost = {"score": None, "passed": None, "outcome": "provider_error", "cost_usd": None}
    failed = {"score": 0.0, "passed": False, "outcome": "failed"}
    first = [
        row(run=1, **failed),
        row(run=2, **failed),
        row(run=3, **lost),
        row(target="b/n", **lost),
    ]
    repairs = [row(run=1, round=2), row(run=2, round=2, **lost)]
    lines = stats.repair_rounds(tables.to_frame(first), tables.to_frame(repairs)).to_dicts()
    columns = ("target", "round", "attempts", "scored", "passed", "pass_rate")
    assert [tuple(line[name] for name in columns) for line in lines] == [
        ("b/n", 1, 1, 0, 0, None),
        ("b/n", 2, 0, 0, 0, None),
        ("lmstudio/m", 1, 3, 2, 0, 0.0),
        ("lmstudio/m", 2, 2, 1, 1, 0.5),
    ]
    assert [line["tokens"] for line in lines] == [30, None, 90, 60]
