"""Problem files: what is read, and every fault named at once."""

from pathlib import Path

import pytest

from llmbench import problems
from llmbench.errors import ProblemFileError, UsageError

LANGUAGES = {"python": {}, "typescript": {"typecheck": ("strict", "basic", "off")}}

GOOD = """\
- id: one
  lang: python
  prompt: Write one().
  tests: {test_one.py: "assert True"}
- id: two
  lang: typescript
  typecheck: off
  prompt: Write two().
  tests: {a/two.test.ts: ""}
  timeout: 2
  tags: [easy-going, async]
  difficulty: easy
  wrong: {empty: ""}
"""


def write(folder: Path, text: str, name: str = "p.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def faults(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(ProblemFileError) as raised:
        problems.load([path], LANGUAGES)
    return [fault.removeprefix(f"{path}:") for fault in raised.value.faults]


def test_good_problems_are_read_in_order(tmp_path: Path) -> None:
    one, two = problems.load([write(tmp_path, GOOD)], LANGUAGES)
    assert (one.id, one.tests, one.timeout) == ("one", {"test_one.py": "assert True"}, None)
    assert (two.options, two.timeout, two.tags) == (
        {"typecheck": "off"},
        2.0,
        ("easy-going", "async"),
    )


def test_a_folder_is_read_file_by_file_in_name_order(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("one", "b1").replace("two", "b2"), "b.yaml")
    write(tmp_path, GOOD, "a.yml")
    assert [p.id for p in problems.load([tmp_path], LANGUAGES)] == ["one", "two", "b1", "b2"]


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """\
- id: not an id
  lang: cobol
  prompt: " "
  tests: {/etc/passwd: x}
- id: x
  lang: typescript
  typecheck: sloppy
  timeout: -3
  prompt: p
  difficulty: brutal
  tests: {../x: "", ok: ""}
- lang: python
  colour: red
  prompt: p
  prompt: q
  tests: [1]
- 7
"""
    told = faults(tmp_path, text)
    assert [line.split(":")[0] for line in told] == sorted(
        (line.split(":")[0] for line in told), key=int
    )
    for start in (
        "1: id: 'not an id'",
        "2: lang: no runner for 'cobol' (there are: python, typescript)",
        "3: prompt: is empty",
        "4: tests./etc/passwd: the path must be relative",
        "7: typecheck: 'sloppy' is not one of strict, basic, off",
        "10: difficulty: input should be 'easy', 'medium' or 'hard', not 'brutal'",
        "12: id: is missing",
        "13: colour: unknown field",
        "15: prompt: stands here a second time",
        "16: tests: input should be a valid",
        "17: a problem is a mapping",
    ):
        assert any(line.startswith(start) for line in told), (start, told)


@pytest.mark.parametrize(
    ("timeout", "fault"),
    [
        ("fast", "'fast' is neither seconds nor, like 5x,"),
        ("0.5x", "'0.5x' is neither seconds nor, like 5x,"),
        ("5x", "5x needs a reference to be measured by"),
        ("-3", "-3 is not a number of seconds above 0"),
        (".inf", "inf is not a number of seconds above 0"),
    ],
)
def test_a_timeout_that_cannot_be_meant_is_refused(
    tmp_path: Path, timeout: str, fault: str
) -> None:
    (told,) = faults(tmp_path, GOOD.replace("timeout: 2", f"timeout: {timeout}"))
    assert told.startswith(f"10: timeout: {fault}")


def test_a_timeout_may_be_a_multiple_of_the_references_time(tmp_path: Path) -> None:
    text = GOOD.replace("timeout: 2", "timeout: 2.5x\n  reference: x")
    assert problems.load([write(tmp_path, text)], LANGUAGES)[1].timeout_factor == 2.5


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../../x", "a//b", "./x", "", "a\\b", "a/..", "x\ny", ".."],
)
def test_a_path_that_could_leave_the_work_folder_is_refused(path: str) -> None:
    assert not problems.is_inside(path)


@pytest.mark.parametrize("path", ["a", "a/b.py", ".hidden", "a..b", "ä/ö.go"])
def test_a_plain_relative_path_is_taken(path: str) -> None:
    assert problems.is_inside(path)


def test_a_duplicate_id_is_refused_across_files_and_names_the_first(tmp_path: Path) -> None:
    first = write(tmp_path, GOOD, "a.yaml")
    second = write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(ProblemFileError) as raised:
        problems.load([first, second], LANGUAGES)
    assert raised.value.faults[0] == f"{second}:1: id: 'one' is already taken by {first}:1"
    assert len(raised.value.faults) == 2


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("- id: [", "1: not YAML"),
        ("a: b", "1: a problem file is a list"),
        ("", "1: a problem file is a list"),
        ("- ? [a]\n  : b", "1: "),
        ("- id: x\n  lang: python\n  prompt: p\n  tests: {a: 2020-13-77}", "1: cannot be read"),
        ("- id: &a [*a]", "1: "),
    ],
)
def test_a_broken_file_is_one_line_and_no_traceback(tmp_path: Path, text: str, start: str) -> None:
    assert faults(tmp_path, text)[0].startswith(start)


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProblemFileError, match="cannot be read"):
        problems.load([path], LANGUAGES)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        problems.load([tmp_path / "none.yaml"], LANGUAGES)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.yaml file"):
        problems.load([tmp_path], LANGUAGES)


def test_the_hash_covers_what_decides_a_grade_and_nothing_else(tmp_path: Path) -> None:
    (one, _) = problems.load([write(tmp_path, GOOD)], LANGUAGES)
    told = GOOD.replace("tests: {test_one.py", "tags: [new]\n  reference: x\n  tests: {test_one.py")
    (same, _) = problems.load([write(tmp_path, told)], LANGUAGES)
    (other, _) = problems.load([write(tmp_path, GOOD.replace("assert True", "pass"))], LANGUAGES)
    assert one.sha256 == same.sha256 != other.sha256


def test_problems_are_selected_by_language_and_glob(tmp_path: Path) -> None:
    loaded = problems.load([write(tmp_path, GOOD)], LANGUAGES)
    assert [p.id for p in problems.select(loaded, langs=["python"])] == ["one"]
    assert [p.id for p in problems.select(loaded, only=["t*"])] == ["two"]
    with pytest.raises(UsageError, match="--only x\\*: no problem id matches"):
        problems.select(loaded, only=["x*"])
    with pytest.raises(UsageError, match="--langs go: no problem is in this language"):
        problems.select(loaded, langs=["go"])


def test_compile_errors_must_name_wrong_answers(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, GOOD + "  compile_errors: [empty, full]\n")
    assert told == "14: compile_errors: 'full' is no wrong answer's name"
