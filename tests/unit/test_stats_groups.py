"""Groups of targets that cannot be told apart."""

from itertools import combinations

import polars as pl
from helpers.factories import result
from hypothesis import given
from hypothesis import strategies as st

from llmbench import stats
from llmbench.stats import groups


def table(**passed: int) -> pl.DataFrame:
    """Targets that pass the first so many of 24 problems."""
    return pl.concat(
        result({f"p{i:02}": [int(i < number)] for i in range(24)}, target=name)
        for name, number in passed.items()
    )


def test_clear_differences_have_letters_of_their_own() -> None:
    assert stats.letters(table(a=24, b=12, c=0), ["a", "b", "c"]) == {"a": "a", "b": "b", "c": "c"}


def test_a_target_between_two_may_belong_to_both() -> None:
    assert stats.letters(table(a=18, b=14, c=10), ["a", "b", "c"]) == {
        "a": "a",
        "b": "ab",
        "c": "b",
    }


def test_pairs_differ_exactly_where_compare_says_so() -> None:
    results = table(a=20, b=18, c=12, d=11, e=2)
    targets = list("abcde")
    differences = stats.compare([("r", results)]).differences
    significant = differences.filter(pl.col("p_adjusted") <= stats.ALPHA)
    expected = {
        frozenset((line["baseline"][-1], line["candidate"][-1])) for line in significant.to_dicts()
    }
    assert expected
    assert set(map(frozenset, groups.different_pairs(results, targets))) == expected


def test_without_a_common_problem_nothing_is_told_apart() -> None:
    one = result({f"p{i}": [1] for i in range(20)}, target="a")
    other = result({f"q{i}": [0] for i in range(20)}, target="b")
    changed = result({f"p{i}": [0] for i in range(20)}, target="c", problem_sha256="another")
    results = pl.concat([one, other, changed])
    assert set(stats.letters(results, ["a", "b", "c"]).values()) == {"a"}


PAIRS = list(combinations("abcdefg", 2))


@given(st.sets(st.sampled_from(PAIRS)))
def test_targets_share_a_group_unless_their_pair_differs(different: set[tuple[str, str]]) -> None:
    found = groups.groups("abcdefg", sorted(different))
    for pair in PAIRS:
        assert any(set(pair) <= group for group in found) == (pair not in different)
    assert not any(one < other for one in found for other in found)
    assert "a" in found[0]


def test_letters_do_not_end_with_z() -> None:
    names = [f"t{i:02}" for i in range(30)]
    rates = pl.concat(
        result({f"p{k}": [int(i * 16 <= k)] for k in range(500)}, target=name)
        for i, name in enumerate(names)
    )
    letters = stats.letters(rates, names)
    assert letters["t00"].startswith("a")
    assert len(set(letters.values())) > 26
    assert letters["t29"].endswith("2") or letters["t29"] >= "d2"
