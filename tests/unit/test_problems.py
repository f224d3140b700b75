"""Problem files are read in order, or refused with every fault at once."""

from collections import Counter
from pathlib import Path

import pytest

from llmbench import problems
from llmbench.errors import ProblemFileError, UsageError
from llmbench.plan import bundled_dir
from llmbench.problem_check import tag_warnings
from llmbench.runners import load_runners

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
  wrong_answers: {empty: ""}
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


def test_a_folder_is_read_in_the_order_of_file_names(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("one", "b1").replace("two", "b2"), "b.yaml")
    write(tmp_path, GOOD, "a.yml")
    assert [p.id for p in problems.load([tmp_path], LANGUAGES)] == ["one", "two", "b1", "b2"]


def test_all_faults_are_reported_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
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
    lines = faults(tmp_path, text)
    numbers = [int(line.split(":")[0]) for line in lines]
    assert numbers == sorted(numbers)
    for start in (
        "1: id: 'not an id'",
        "2: lang: no runner for 'cobol' (there are: python, typescript)",
        "3: prompt: is empty",
        "4: tests./etc/passwd: the path must be relative",
        "7: typecheck: 'sloppy' is not one of strict, basic, off",
        "10: difficulty: input should be 'easy', 'medium' or 'hard', not 'brutal'",
        "12: id: is missing",
        "13: colour: unknown field",
        "15: prompt: appears a second time",
        "16: tests: input should be a valid",
        "17: a problem is a mapping",
    ):
        assert any(line.startswith(start) for line in lines), (start, lines)


@pytest.mark.parametrize(
    ("timeout", "fault"),
    [
        ("fast", "'fast' is neither seconds nor, like 5x,"),
        ("0.5x", "'0.5x' is neither seconds nor, like 5x,"),
        ("5x", "5x needs a reference, whose time it multiplies"),
        ("-3", "-3 is not a number of seconds above 0"),
        ("100000", "100000 is not a number of seconds above 0, at most 86400"),
        ("9999x", "'9999x' is neither seconds nor, like 5x,"),
        (".inf", "inf is not a number of seconds above 0"),
    ],
)
def test_a_timeout_must_be_positive_seconds_or_a_multiple_of_the_reference(
    tmp_path: Path, timeout: str, fault: str
) -> None:
    (line,) = faults(tmp_path, GOOD.replace("timeout: 2", f"timeout: {timeout}"))
    assert line.startswith(f"10: timeout: {fault}")


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
def test_a_plain_relative_path_is_accepted(path: str) -> None:
    assert problems.is_inside(path)


def test_a_duplicate_id_is_refused_across_files_and_names_the_first(tmp_path: Path) -> None:
    first = write(tmp_path, GOOD, "a.yaml")
    second = write(tmp_path, GOOD, "b.yaml")
    with pytest.raises(ProblemFileError) as raised:
        problems.load([first, second], LANGUAGES)
    assert raised.value.faults[0] == f"{second}:1: id: 'one' is the id of {first}:1 too"
    assert len(raised.value.faults) == 2


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("- id: [", "1: not YAML: "),
        ("- id: [\n", "2: not YAML: "),
        ("- id: a\n  lang: 'b\n  c: d\n", "4: not YAML: "),
        ("- id: a\n\tlang: b\n", "2: not YAML: "),
        ("- id: a\n- id: b\nid: c\n", "3: not YAML: "),
        ("a: b", "1: a problem file is a list"),
        ("", "1: a problem file is a list"),
        ("- id: x\n  tests: {a: 2020-13-77}", "1: not YAML: month must be in 1..12"),
        ("- id: &a [*a]", "1: *a is inside the value that it repeats"),
        ("- id: x\n- *b", "2: *b has no &b above it"),
        ("- id: a\n--- 1", "2: not YAML: expected a single document"),
        ("- id: x\n  files:" + " [" * 100_000, "2: is nested more than 100 levels deep"),
    ],
)
def test_a_broken_file_is_one_line_and_no_traceback(tmp_path: Path, text: str, start: str) -> None:
    first = faults(tmp_path, text)[0]
    assert first.startswith(start)
    assert "\n" not in first


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("  ? [a]\n  : b\n", "14: the key ['a'] must be text"),
        ("  1: b\n", "14: the key 1 must be text"),
        ("  <<: {a: b}\n", "14: merge keys (<<) are not supported: write the fields"),
        (
            "  files: {<<: {a: b}}\n",
            "14: files: merge keys (<<) are not supported: write the fields",
        ),
        ("  tags: []\n", "14: tags: appears a second time"),
    ],
)
def test_a_key_that_is_no_field_name_is_a_fault(tmp_path: Path, line: str, fault: str) -> None:
    assert faults(tmp_path, GOOD + line) == [fault]


def test_bytes_that_are_not_utf_8_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProblemFileError, match=r"p\.yaml:1: cannot be read: .*utf-8"):
        problems.load([path], LANGUAGES)


def test_a_source_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        problems.load([tmp_path / "none.yaml"], LANGUAGES)


def test_a_folder_without_problem_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.yaml file"):
        problems.load([tmp_path], LANGUAGES)


def test_the_hash_covers_what_decides_a_grade_and_nothing_else(tmp_path: Path) -> None:
    (one, _) = problems.load([write(tmp_path, GOOD)], LANGUAGES)
    tagged = GOOD.replace("tests: {test_one", "tags: [new]\n  reference: x\n  tests: {test_one")
    (same, _) = problems.load([write(tmp_path, tagged)], LANGUAGES)
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
    lines = faults(tmp_path, GOOD + "  compile_errors: [empty, full]\n")
    assert lines == ["14: compile_errors: no wrong answer is named 'full'"]


@pytest.mark.parametrize(
    ("wrong_answers", "license_"), [("wrong", "licence"), ("wrong_answers", "license")]
)
def test_a_field_is_read_under_its_name_and_under_its_former_name(
    tmp_path: Path, wrong_answers: str, license_: str
) -> None:
    text = GOOD.replace("wrong_answers", wrong_answers) + f"  {license_}: MIT\n"
    problem = problems.load([write(tmp_path, text)], LANGUAGES)[1]
    assert (problem.wrong_answers, problem.license) == ({"empty": ""}, "MIT")


@pytest.mark.parametrize("name", ["wrong", "wrong_answers"])
def test_a_fault_names_a_field_as_the_file_does(tmp_path: Path, name: str) -> None:
    text = GOOD.replace('wrong_answers: {empty: ""}', f"{name}:\n    empty: [1]")
    lines = faults(tmp_path, text)
    assert lines == [f"14: {name}.empty: input should be a valid string, not [1]"]


@pytest.mark.parametrize(("former", "name"), problems.FORMER_NAMES.items())
def test_a_field_under_both_of_its_names_is_one_fault(
    tmp_path: Path, former: str, name: str
) -> None:
    (one, _, two) = GOOD.partition("- id: two")
    text = f"{one}  {name}: {{}}\n  {former}: {{}}\n- id: two{two}"
    text = text.replace("{}", "MIT") if name == "license" else text
    lines = faults(tmp_path, text)
    assert lines == [
        f"6: {former}: is the former name of {name}, which is here too: keep {name} alone"
    ]


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    text = GOOD.replace("tests: {test_one", "tests: &tests {test_one").replace(
        'tests: {a/two.test.ts: ""}', "tests: *tests"
    )
    one, two = problems.load([write(tmp_path, text)], LANGUAGES)
    assert one.tests == two.tests == {"test_one.py": "assert True"}


def test_former_names_are_unknown_inside_other_fields(tmp_path: Path) -> None:
    text = GOOD.replace("{empty: ", "{wrong: ")
    problem = problems.load([write(tmp_path, text)], LANGUAGES)[1]
    assert problem.wrong_answers == {"wrong": ""}


def test_each_tag_of_the_shipped_problems_is_declared_and_groups_several() -> None:
    runners = load_runners(bundled_dir("runners"))
    languages = {lang: runner.option_values for lang, runner in runners.items()}
    used = Counter(
        tag for p in problems.load([bundled_dir("problems")], languages) for tag in p.tags
    )
    assert used.keys() == problems.TAGS.keys()
    assert min(used.values()) >= 3
    assert len(problems.TAGS) <= 20


def test_only_a_tag_outside_the_list_is_warned_of(tmp_path: Path) -> None:
    text = GOOD.replace("[easy-going, async]", "[errors, easy-going]")
    _, two = problems.load([write(tmp_path, text)], LANGUAGES)
    (warning,) = tag_warnings(two, problems.TAGS)
    assert warning.startswith("tags: 'easy-going' is not one of caching, cancellation, ")
    assert list(tag_warnings(two, None)) == []
