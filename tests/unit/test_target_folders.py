"""Every target has a folder of its own, whatever its name; folders of older runs are found."""

from pathlib import Path

import pytest
from helpers.factories import attempt, row
from hypothesis import example, given
from hypothesis import strategies as st

from llmbench.completions import Completion
from llmbench.records import Target
from llmbench.store import artifacts
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.run_dir import RunDirectory

LABELS = st.tuples(st.text(min_size=1), st.text(min_size=1))


def slug(provider: str, model: str) -> str:
    return Target(provider, model, "").slug


@pytest.mark.parametrize(
    ("provider", "model", "folder"),
    [
        ("lmstudio", "Qwen2.5-Coder-7B", "lmstudio_Qwen2.5-Coder-7B"),
        ("openai-compatible", "gpt_4.1", "openai-compatible_gpt_4.1"),
    ],
)
def test_a_plain_name_is_its_own_folder(provider: str, model: str, folder: str) -> None:
    assert slug(provider, model) == folder


@given(LABELS, LABELS)
@example(("ollama", "qwen3:8b"), ("ollama", "qwen3/8b"))
@example(("ollama", "qwen3_8b"), ("ollama", "qwen3/8b"))
@example(("a", "b_c"), ("a_b", "c"))
@example(("a", "通义"), ("a", "文心"))
@example(("a", "m"), ("a", "m."))
@example(("a", "x" * 300), ("a", "x" * 301))
@example(("a", "\ud800"), ("a", "\ud801"))
def test_two_names_never_share_a_folder(one: tuple[str, str], other: tuple[str, str]) -> None:
    first, second = (Target(*names, "") for names in (one, other))
    if first.label != second.label:
        assert first.slug != second.slug


@given(LABELS)
@example(("a", "x" * 300))
@example(("..", "../.."))
@example(("-", "\0"))
def test_a_folder_name_is_safe_and_short(names: tuple[str, str]) -> None:
    name = slug(*names)
    assert name.isascii()
    assert name.isprintable()
    assert not set("/\\: ") & set(name)
    assert name.strip(".") == name
    assert 0 < len(name) <= 120


def test_the_texts_of_models_with_similar_names_are_kept_apart(tmp_path: Path) -> None:
    work = RunDirectory(tmp_path)
    for model in ("qwen3:8b", "qwen3/8b", "x" * 300):
        work.keep(attempt(model=model), {"answer.md": model})
    assert len(list(work.path.rglob("answer.md"))) == 3


@pytest.mark.parametrize(("answer", "is_shown"), [("mine", True), ("another's", False)])
def test_a_folder_of_an_earlier_version_counts_if_it_holds_the_same_answer(
    tmp_path: Path, answer: str, is_shown: bool
) -> None:
    work = RunDirectory(tmp_path)
    original = attempt(model="qwen3:8b")
    ours = row(model="qwen3:8b", target=original.target.label)
    with Journal(work.path) as journal:
        journal.append(CompletionEntry(original.key, Completion("mine")))
        journal.append(ResultEntry(ours))
    folder = work.path / "lmstudio_qwen3_8b" / "add" / "1"
    folder.mkdir(parents=True)
    (folder / "answer.md").write_text(answer)
    (folder / "log.txt").write_text("log")
    ((_, artifact),) = artifacts.find_artifacts([ours], iter([work.path]))
    assert ("log.txt" in artifact.files) == is_shown
