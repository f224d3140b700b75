"""The summary of a run and its progress, as a terminal shows them."""

import statistics
from collections.abc import Iterable
from io import StringIO

import pytest
from helpers.factories import row
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from llmbench import stats
from llmbench.events import (
    AttemptFinished,
    BudgetExhausted,
    Draining,
    Event,
    RetryScheduled,
    TargetStopped,
)
from llmbench.records import Outcome, Row
from llmbench.reports import progress as progress_module
from llmbench.reports.fitting import FittingTable
from llmbench.reports.live import LiveProgress
from llmbench.reports.progress import PlainProgress
from llmbench.reports.summary import details, summary
from llmbench.store import tables

INFRASTRUCTURE = {"score": None, "passed": None}


def summarize(rows: Iterable[Row], width: int = 100, repairs: Iterable[Row] | None = None) -> str:
    console = Console(file=StringIO(), width=width, highlight=False, markup=False)
    repaired = None if repairs is None else tables.to_frame(repairs)
    for part in summary(tables.to_frame(rows), width, repaired):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def detailed(rows: Iterable[Row], width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, highlight=False, markup=False)
    for part in details(tables.to_frame(rows), width):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def failed(**changes: object) -> Row:
    return row(outcome="failed", score=0.0, passed=False, **changes)


@settings(deadline=None)  # the first use of polars is slow on a busy machine
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_pass_rate_and_std_score_follow_from_the_scores(passes: list[bool]) -> None:
    rows = [row() if passed else failed() for passed in passes]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    scores = [100.0 * passed for passed in passes]
    assert line["pass_rate"] == pytest.approx(statistics.fmean(passes))
    assert line["std_score"] == pytest.approx(statistics.pstdev(scores), abs=1e-9)


def test_a_summary_shows_the_models_as_their_servers_describe_them() -> None:
    described = {"server": "llama.cpp b1", "quantization": "Q4_K_M", "parameters": 8_190_735_360}
    text = summarize([row(**described), row(run=2, **described), row(run=3, target="a/b")], 120)
    table = text[text.index("as their servers describe") :].splitlines()[:7]
    assert [word for word in ("Q4_K_M", "8.19B", "llama.cpp b1") if word in "".join(table)] == [
        "Q4_K_M",
        "8.19B",
        "llama.cpp b1",
    ]
    assert "context" not in table[1]
    assert "as their servers describe" not in summarize([row()], 120)


def test_answers_that_came_as_reasoning_alone_are_reported_with_their_share_and_advice() -> None:
    empty = {"outcome": "no_code", "score": 0.0, "passed": False, "extraction": "only_reasoning"}
    rows = [
        row(),
        row(**empty),
        row(**empty),
        row(outcome="provider_error", extraction=None, **INFRASTRUCTURE),
    ]
    rows.append(row(target="b/c", **(empty | {"outcome": "truncated"})))
    text = " ".join(summarize(rows).split())
    target = rows[0].target
    assert f"{target}: 2 of 3 answers (67%) came as reasoning alone" in text
    assert "choose the reasoning parser of this model" in text
    assert text.count("reasoning alone") == 1


def test_infrastructure_errors_are_in_no_rate() -> None:
    rows = [row(), failed(), row(outcome="provider_error", **INFRASTRUCTURE)]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    assert (line["attempts"], line["scored"], line["pass_rate"]) == (3, 2, 0.5)


def test_without_a_score_there_is_no_rate() -> None:
    rows = [row(outcome="provider_error", **INFRASTRUCTURE)]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    assert line["pass_rate"] is line["std_score"] is None


def test_infrastructure_errors_are_counted_with_their_reason() -> None:
    bad = row(outcome="provider_error", log_head="busy: wait\nmore", **INFRASTRUCTURE)
    text = summarize([row(), bad, bad])
    assert "2 of 3 attempts were not scored" in text
    assert "2 × provider_error: busy: wait" in text


def test_a_summary_names_targets_languages_outcomes_and_what_needs_attention() -> None:
    rows = [
        row(target="a/x", problem_id="p", lang="go"),
        failed(target="b/y", problem_id="q"),
        row(target="b/y", problem_id="q", run=2),
        failed(target="b/y", problem_id="r"),
    ]
    text = summarize(rows)
    for words in (
        "a/x",
        "go",
        "outcomes of b/y: 1 passed, 2 failed",
        "1 problem passes in some runs and fails in others: q",
        "1 problem never passed: r",
    ):
        assert words in text
    assert "timeout" not in text
    assert text.rstrip().splitlines()[-2].startswith("a/x")  # the leaderboard is last


def test_a_summary_of_ten_targets_fits_on_a_screen() -> None:
    rows = [
        row(target=f"a/model-{place}", problem_id=f"p{number}", lang=lang, run=run)
        if (number + run) % 11 > place
        else failed(target=f"a/model-{place}", problem_id=f"p{number}", lang=lang, run=run)
        for place in range(10)
        for number in range(20)
        for lang in ("go", "python", "typescript")
        for run in (1, 2)
    ]
    assert len(summarize(rows, 120).splitlines()) <= 40
    one = [each for each in rows if each.target == "a/model-0"]
    assert len(summarize(one, 80).splitlines()) <= 20


def test_details_show_each_problem_and_repeated_runs() -> None:
    rows = [
        row(target="a/x", problem_id="p", lang="go"),
        failed(target="b/y", problem_id="q"),
        row(target="b/y", problem_id="q", run=2),
    ]
    text = detailed(rows)
    for words in ("a/x", "b/y", "go", "python", "p ", "q ", "100% ± 0", "50% ± 50", "agreement"):
        assert words in text


def test_a_summary_shows_the_interval_of_each_rate() -> None:
    rows = [row(problem_id=f"p{i}", run=run) for i in range(9) for run in (1, 2)]
    rows += [failed(problem_id="q", run=1), row(problem_id="q", run=2)]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    text = summarize(rows)
    assert "95% interval" in text
    assert f"{100 * line['ci_low']:.0f}–{line['ci_high']:.0%}" in text
    assert "90.0%" in text  # agreement: nine problems of ten


def test_repairs_have_their_own_table_and_change_no_other() -> None:
    rows = [row(run=1), failed(run=2, cost_usd=0.5), failed(run=3), failed(run=4)]
    repairs = [
        row(run=2, round=2, cost_usd=0.25),
        failed(run=3, round=2),
        row(run=4, round=2, outcome="provider_error", log_head="busy", **INFRASTRUCTURE),
        row(run=3, round=3),
    ]
    plain, text = summarize(rows), summarize(rows, repairs=repairs)
    before, board, after = plain.partition("leaderboard")
    assert text.startswith(before)
    assert text.endswith(board + after)
    rounds = text.removeprefix(before)
    for words in (
        "25.0%",
        "50.0%",
        "75.0%",
        "All rounds cost 0.7560 $.",
        "1 × provider_error: busy",
    ):
        assert words in rounds
    assert "1 of 4 repairs were not scored" in rounds
    assert "by round" not in plain


NAMES = [f"openrouter/some-lab/coder-of-size-{size}-instruct" for size in range(12)]


@pytest.mark.parametrize("width", [80, 120, 400])
@pytest.mark.parametrize("targets", [1, 3, 12])
def test_a_summary_shows_names_and_figures_in_full_at_any_width(width: int, targets: int) -> None:
    rows = [
        row(target=name, problem_id=f"typescript-with-a-long-name-{number}", run=run, cost_usd=0.5)
        if number < place
        else failed(target=name, problem_id=f"typescript-with-a-long-name-{number}", run=run)
        for place, name in enumerate(NAMES[:targets])
        for number in range(12)
        for run in (1, 2)
    ]
    text = summarize(rows, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in NAMES[:targets]:
        assert name in text
    for place in range(targets):
        assert f" {place / 12:.1%} " in text
    text = detailed(rows, width)
    assert max(map(len, text.splitlines())) <= width
    for number in range(12):
        assert f"typescript-with-a-long-name-{number} " in text
    assert text.count("100% ± 0") == targets * (targets - 1) // 2


def test_numbers_replace_names_that_do_not_fit() -> None:
    text = summarize([failed(target=NAMES[0]), row(target=NAMES[1])], 80)
    assert text.startswith(f"1 {NAMES[1]}\n2 {NAMES[0]}\n")


def text_of(view: FittingTable, width: int) -> str:
    console = Console(file=StringIO(), width=width, highlight=False, markup=False)
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_keeps_its_figures_whole_and_drops_columns_by_their_order(width: int) -> None:
    head = ["name", "first", "second", "third"]
    rows = [["some/name-of-a-model", "12345.6 s", "98765.4 s", "55555.5 s"]]
    view = FittingTable(head, rows=list(rows), droppable=["third", "second"], title="title")
    text = text_of(view, width)
    assert max(map(len, text.splitlines())) <= width
    shown = [title for title, cell in zip(head, rows[0], strict=True) if cell in text]
    assert shown == head[: len(shown)]
    assert (len(shown) == len(head)) == ("not shown at this width" not in text)
    assert len(shown) >= {40: 2, 60: 4, 80: 4, 120: 4}[width]


def test_a_table_of_long_texts_wraps_them_and_says_nothing_of_its_columns() -> None:
    view = FittingTable(["name", "meaning"], 2, [["x", "word " * 40]])
    text = text_of(view, 80)
    assert text.count("word") == 40
    assert "not shown" not in text


def test_a_notice_marks_replayed_answers() -> None:
    assert "no model was asked" in summarize([row(replayed=True)])
    assert "no model was asked" not in summarize([row()])


def test_truncated_answers_suggest_a_larger_token_limit() -> None:
    cut = failed(finish_reason="length")
    text = summarize([row(), row(**{**vars_of(cut), "outcome": "truncated"})])
    assert "--max-tokens" in text


def vars_of(row_: Row) -> dict[str, object]:
    return {name: getattr(row_, name) for name in row_.__slots__}


def test_output_of_a_model_is_not_read_as_markup() -> None:
    bad = row(outcome="provider_error", log_head="[bold]x[/red] [link=a]", **INFRASTRUCTURE)
    assert "[bold]x[/red] [link=a]" in summarize([bad])


def test_a_summary_of_no_rows_says_so() -> None:
    assert "No attempt has ended." in summarize([])


@pytest.mark.parametrize("kind", [LiveProgress, PlainProgress])
def test_progress_shows_outcomes_stops_and_draining(
    kind: type[LiveProgress] | type[PlainProgress],
) -> None:
    console = Console(
        file=StringIO(),
        width=200,
        force_terminal=kind is LiveProgress,
        no_color=True,
        highlight=False,
        markup=False,
    )
    target = row().target
    events: list[Event] = [
        *(AttemptFinished(row(run=run)) for run in (1, 2)),
        AttemptFinished(row(run=3, outcome=Outcome.OUT_OF_MEMORY.value)),
        TargetStopped(target, "no credit [top up]"),
        Draining(4),
    ]
    with kind(console, {target: 3}) as progress:
        for event in events:
            progress(event)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    stopped = f"stopped {target}: no credit [top up]"
    for words in ("3/3", "2 passed", "1 out of memory", stopped, "4 attempts are"):
        assert words in text


@pytest.mark.parametrize("kind", [LiveProgress, PlainProgress])
def test_progress_shows_repairs_beside_the_attempts(
    kind: type[LiveProgress] | type[PlainProgress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "PLAIN_SECONDS", 0.0)
    console = Console(file=StringIO(), width=200, force_terminal=kind is LiveProgress, markup=False)
    with kind(console, {row().target: 2}) as progress:
        for run in (1, 2):
            progress(AttemptFinished(failed(run=run)))
        progress(AttemptFinished(failed(run=1, round=2)))
        progress(AttemptFinished(row(run=2, round=2)))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "2/2" in text
    assert "2 failed; repairs: 1 passed, 1 failed" in text
    assert "3/2" not in text


@pytest.mark.parametrize("kind", [LiveProgress, PlainProgress])
def test_a_long_wait_is_printed_once_for_all_requests(
    kind: type[LiveProgress] | type[PlainProgress],
) -> None:
    console = Console(file=StringIO(), width=200, highlight=False, markup=False)
    with kind(console, {"a/m": 9, "b/m": 9}) as progress:
        progress(RetryScheduled("a/m", 0.4, None, "HTTP 500"))
        progress(RetryScheduled("a/m", 30.2, 600.0, "HTTP 429: slow down"))
        progress(RetryScheduled("a/m", 31.0, 600.0, "HTTP 429: slow down"))
        progress(RetryScheduled("b/m", 8.0, None, "HTTP 503"))
    assert isinstance(console.file, StringIO)
    waits = [line for line in console.file.getvalue().splitlines() if "waiting" in line]
    assert waits == [
        "waiting 30 s (the server asked for 600 s): a/m: HTTP 429: slow down",
        "waiting 8 s: b/m: HTTP 503",
    ]


@pytest.mark.parametrize("kind", [LiveProgress, PlainProgress])
def test_an_exhausted_budget_is_one_line(kind: type[LiveProgress] | type[PlainProgress]) -> None:
    console = Console(file=StringIO(), width=200, highlight=False, markup=False)
    with kind(console, {"a/m": 9}) as progress:
        progress(BudgetExhausted(0.51234, 0.5))
    assert isinstance(console.file, StringIO)
    assert "0.5123 $ of --max-cost 0.5 are spent: no new requests" in console.file.getvalue()
