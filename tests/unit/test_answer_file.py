"""Answers that exist already: the ones that are read, and the faults of the others."""

import json
import tracemalloc
from pathlib import Path

import pytest
from helpers.factories import row

from llmbench.completions import Completion
from llmbench.errors import UsageError
from llmbench.records import Attempt, AttemptKey, Problem
from llmbench.store.answer_file import AnswerFile
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry

PROBLEMS = {
    id_: Problem(id=id_, lang="python", prompt="-", tests={"t": "-"}) for id_ in ("one", "two")
}


def read(path: Path, *, only: str = "") -> tuple[AnswerFile, list[Attempt], list[str]]:
    faults: list[str] = []
    selected = {id_ for id_ in PROBLEMS if only in id_}
    answers = AnswerFile(path, "author", PROBLEMS, selected, faults.append)
    answers.scan()
    attempts = list(answers.attempts())
    assert answers.faults == len(faults)
    assert answers.totals.total() == len(attempts)
    return answers, attempts, [line.removeprefix(f"{path}:") for line in faults]


def lines(path: Path, *entries: object) -> Path:
    texts = (e if isinstance(e, str) else json.dumps(e) for e in entries)
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def answer(problem_id: str = "one", text: str = "a", **more: object) -> dict[str, object]:
    return {"problem_id": problem_id, "answer": text, **more}


def test_an_answer_is_read_verbatim_and_has_no_timings(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", answer(text="```\nä\n```", run=3, finish_reason="length"))
    _, (attempt,), faults = read(path)
    assert faults == []
    assert attempt.key == AttemptKey("answers/author", "one", 3)
    assert attempt.known_completion is not None
    assert attempt.known_completion.text == "```\nä\n```"
    assert attempt.known_completion.truncated
    assert not attempt.known_completion.has_timings


def test_answers_without_a_run_get_the_next_free_one(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        answer(), answer("two"), answer(), answer(run=7), answer(), answer(model="m"),
    )  # fmt: skip
    _, attempts, faults = read(path)
    assert faults == []
    assert [(a.target.model, a.problem.id, a.run) for a in attempts] == [
        ("author", "one", 1), ("author", "two", 1), ("author", "one", 2),
        ("author", "one", 7), ("author", "one", 4), ("m", "one", 1),
    ]  # fmt: skip


def test_a_line_may_name_its_author(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        answer(model="openai/gpt"), answer(target="openai/gpt"), answer(target="gpt"),
    )  # fmt: skip
    answers, attempts, _ = read(path)
    assert [a.target.label for a in attempts] == ["answers/openai/gpt", "openai/gpt", "answers/gpt"]
    assert attempts[1].target.provider == "openai"
    assert set(answers.totals) == set(answers.targets)


def test_a_faulty_line_is_reported_and_costs_only_itself(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        answer(run=1), "{nonsense", answer("three"), {"problem_id": "one"}, answer(run=1),
        answer(run=0), "[]", "", answer(run=2), {**answer(), "answer": None}, '"\\ud800"',
    )  # fmt: skip
    _, attempts, faults = read(path)
    assert [a.run for a in attempts] == [1, 2]
    assert [line.split(":")[0] for line in faults] == ["2", "3", "4", "5", "6", "7", "10", "11"]
    for line, words in zip(
        faults,
        (
            "not JSON", "no problem has the id 'three'", "has no answer",
            "an earlier line has run 1 of one by answers/author", "run: Input should be greater",
            "is no answer: not a JSON object", "answer: Input should be a valid string", "not JSON",
        ),
        strict=True,
    ):  # fmt: skip
        assert words in line


def test_answers_to_unselected_problems_are_no_fault(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", answer(), answer("two"))
    answers, attempts, faults = read(path, only="two")
    assert [a.problem.id for a in attempts] == ["two"]
    assert (faults, answers.problem_ids) == ([], {"two"})


def test_a_journal_yields_completions_with_their_sampling_parameters(tmp_path: Path) -> None:
    completion = Completion("text", finish_reason="stop", llm_seconds=2.5, requests=2)
    sha = PROBLEMS["one"].sha256
    result = row(
        target="openai/gpt", provider="openai", model="gpt", problem_id="one", run=2,
        max_tokens=100, temperature=None, seed=12, problem_sha256=sha,
    )  # fmt: skip
    with Journal(tmp_path) as journal:
        journal.append(CompletionEntry(AttemptKey("openai/gpt", "one", 2), completion))
        journal.append(ResultEntry(result))
    answers, (attempt,), faults = read(tmp_path / "journal.jsonl")
    assert attempt.known_completion == completion
    assert (attempt.target.label, attempt.run, faults) == ("openai/gpt", 2, [])
    sampling = attempt.target.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.seed) == (100, None, 11)
    assert answers.changed == set()


def test_a_journal_yields_first_answers_only(tmp_path: Path) -> None:
    known = {"target": "a/b", "problem_id": "one"}
    failed = {"outcome": "provider_error", "score": None, "passed": None}
    with Journal(tmp_path) as journal:
        for number in (2, 1, 3):
            journal.append(
                CompletionEntry(AttemptKey("a/b", "one", 1, number), Completion(f"{number}"))
            )
        journal.append(ResultEntry(row(**known, round=2, **failed, temperature=0.9)))
    answers, (attempt,), faults = read(tmp_path / "journal.jsonl")
    assert attempt.known_completion is not None
    assert (attempt.known_completion.text, attempt.round, faults) == ("1", 1, [])
    assert (answers.targets["a/b"].sampling.temperature, answers.changed) == (None, set())


def test_a_failed_request_counts_unless_a_later_one_was_answered(tmp_path: Path) -> None:
    failed = {"outcome": "provider_error", "score": None, "passed": None, "target": "a/b"}
    with Journal(tmp_path) as journal:
        for id_ in ("one", "two"):
            journal.append(ResultEntry(row(problem_id=id_, run=1, problem_sha256="-", **failed)))
        journal.append(CompletionEntry(AttemptKey("a/b", "one", 1), Completion("late")))
    answers, attempts, faults = read(tmp_path / "journal.jsonl")
    assert [(a.problem.id, a.known_completion and a.known_completion.text) for a in attempts] == [
        ("one", "late"), ("two", None),
    ]  # fmt: skip
    assert faults == []
    assert answers.changed == {"one", "two"}


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl: cannot be read: No such file"):
        read(tmp_path / "none.jsonl")


def test_a_hundred_thousand_answers_are_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    text = "x" * 1000
    with path.open("w") as file:
        for run in range(1, 100_001):
            file.write(f'{{"problem_id": "one", "run": {run}, "answer": "{text}"}}\n')
    answers = AnswerFile(path, "m", PROBLEMS, set(PROBLEMS), print)
    tracemalloc.start()
    try:
        answers.scan()
        assert sum(1 for _ in answers.attempts()) == 100_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20  # the file has 100 MiB
