"""`llmbench problems`, as people use it; checks run in a real sandbox."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from helpers.cli import run
from helpers.factories import result
from helpers.sandboxes import opened

from llmbench import problems
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.store import tables

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(bundled_dir("runners"))
LANG = "python"


async def require_bubblewrap() -> None:
    """Skip the test where bubblewrap cannot be used."""
    async with opened("bubblewrap", RUNNERS):
        pass


async def check(folder: Path, *flags: str) -> tuple[int, str]:
    """Check p.yaml; return the exit code and the output."""
    command = "problems check --problems p.yaml --sandbox bubblewrap".split()
    result = await run(folder, *command, *flags)
    return result.code, result.out + result.err


def write_problem(folder: Path, **changes: object) -> None:
    """Write the template's problem with other fields to p.yaml; None removes a field."""
    text = (bundled_dir("runners") / LANG / "authoring" / "template.yaml").read_text()
    (problem,) = yaml.safe_load(text)
    problem |= {"id": "mine", **changes}
    fields = {name: value for name, value in problem.items() if value is not None}
    (folder / "p.yaml").write_text(yaml.safe_dump([fields]))


async def test_the_shipped_problems_are_listed_and_shown(tmp_path: Path) -> None:
    listed = await run(tmp_path, "problems", "list", "--langs", LANG)
    assert listed.code == 0
    assert "python-lru-ttl-cache" in listed.out
    brief = await run(tmp_path, "problems", "show", "python-lru-ttl-cache")
    assert "maxsize" in brief.out
    assert "def test_" not in brief.out
    full = await run(tmp_path, "problems", "show", "python-lru-ttl-cache", "--everything")
    assert "def test_" in full.out


@pytest.mark.bubblewrap
async def test_a_new_problem_of_each_language_is_valid_without_a_warning(tmp_path: Path) -> None:
    await require_bubblewrap()
    for lang in RUNNERS:
        result = await run(
            tmp_path, "problems", "new", f"my-{lang}", "--lang", lang, "-o", "p.yaml"
        )
        assert result.code == 0, result.err
    code, output = await check(tmp_path, "--repeat", "2")
    assert code == 0, output
    assert output.count("reference 2/2; 5 other answers fail") == len(RUNNERS)
    assert f"{len(RUNNERS)} of {len(RUNNERS)} problems are valid, 0 with a warning" in output


async def test_new_refuses_a_problem_that_it_cannot_write(tmp_path: Path) -> None:
    await run(tmp_path, "problems", "new", "a", "--lang", LANG)
    for flags, message in (
        (["a", "--lang", LANG], "a.yaml: has a problem 'a' already: choose another id"),
        (["b c", "--lang", LANG], "'b c': an id may have letters"),
        (["b", "--lang", "cobol"], "--lang cobol: no such language; there are: go, python"),
        (["b", "--lang", LANG, "-o", "no/b.yaml"], "no/b.yaml: cannot be written"),
    ):
        result = await run(tmp_path, "problems", "new", *flags)
        assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.bubblewrap
async def test_a_fault_of_a_problem_says_how_to_correct_it(tmp_path: Path) -> None:
    await require_bubblewrap()
    always = "def parse_duration(text):\n    return 45\n"
    write_problem(
        tmp_path,
        tests={"test_solution.py": "def test_nothing():\n    pass\n"},
        wrong_answers={"constant": always, "broken": "def parse_duration(text:\n"},
    )
    code, output = await check(tmp_path, "--repeat", "1")
    assert code == 1
    assert "FAIL mine" in output
    for line in (
        "fault: the wrong answer constant passes: add a test that it fails",
        "fault: the wrong answer broken passes: add a test that it fails",
        "fault: an empty answer passes",
        "fault: the stub of its prompt passes",
        "warning: 2 wrong answers: add plausible mistakes that the tests must catch, at least 3",
        "0 of 1 problems are valid, 1 with a warning",
    ):
        assert line in output


@pytest.mark.bubblewrap
async def test_a_reference_that_passes_by_chance_is_a_fault_with_its_log(
    tmp_path: Path,
) -> None:
    await require_bubblewrap()
    test = (
        "import os\nfrom solution import parse_duration\n\n"
        "def test_parity():\n    assert os.stat('.').st_ino is not None\n"
        "    assert parse_duration('1s') == 1\n"
        "    assert os.urandom(1)[0] % 2 == 0, 'an odd byte'\n"
    )
    write_problem(tmp_path, tests={"test_solution.py": test})
    code, output = await check(tmp_path, "--repeat", "20")
    assert code == 1
    assert "of 20 times (failed): make the tests independent of chance and time" in output
    assert "an odd byte" in output


@pytest.mark.bubblewrap
async def test_a_wrong_answer_that_does_not_compile_must_be_declared(tmp_path: Path) -> None:
    await require_bubblewrap()
    broken = {"broken": "def parse_duration(text:\n"}
    write_problem(tmp_path, wrong_answers=broken)
    code, output = await check(tmp_path, "--repeat", "1")
    assert code == 1
    assert "the wrong answer broken does not compile, so no test ran on it" in output
    write_problem(tmp_path, wrong_answers=broken, compile_errors=["broken"])
    assert (await check(tmp_path, "--repeat", "1"))[0] == 0
    always = {"late": "def parse_duration(text):\n    return 45\n"}
    write_problem(tmp_path, wrong_answers=always, compile_errors=["late"])
    code, output = await check(tmp_path, "--repeat", "1")
    assert code == 1
    assert "the wrong answer late is in compile_errors, but it ended as failed" in output


@pytest.mark.bubblewrap
async def test_a_problem_without_a_reference_is_valid_with_a_warning(tmp_path: Path) -> None:
    await require_bubblewrap()
    write_problem(tmp_path, reference=None)
    code, output = await check(tmp_path)
    assert code == 0
    assert "warning: no reference: nothing shows that the problem can be solved" in output


@pytest.mark.bubblewrap
async def test_mutants_that_survive_are_printed_with_the_share_of_those_killed(
    tmp_path: Path,
) -> None:
    pytest.importorskip("tree_sitter")
    await require_bubblewrap()
    tests = "from solution import twice\n\ndef test_of_two():\n    assert twice(2) == 4\n"
    write_problem(
        tmp_path,
        tests={"test_solution.py": tests},
        reference="def twice(x):\n    return x * 2\n\n\ndef unused():\n    return 7\n",
        wrong_answers={"same": "def twice(x):\n    return x\n"},
    )
    code, output = await check(tmp_path, "--repeat", "1", "--mutate")
    assert code == 0, output
    assert "mutants: 4 of 7 killed (57%)" in output
    assert "survived: line 6, number: add a test" in output
    assert "-    return 7\n" in output
    assert "+    return 8\n" in output
    assert "57% of the mutants of 1 references killed" in output


async def test_a_list_with_results_shows_which_problems_tell_targets_apart(tmp_path: Path) -> None:
    languages = {lang: runner.option_values for lang, runner in RUNNERS.items()}
    known = problems.load([bundled_dir("problems")], languages)
    hashes = {problem.id: problem.sha256 for problem in known if problem.lang == LANG}
    easy, middle, hard = list(hashes)[:3]
    passes = [{easy: [1], middle: [int(i < 2)], hard: [int(i < 1)]} for i in range(3)]
    rows = pl.concat(result(each, target=f"t{i}") for i, each in enumerate(passes))
    current = rows.with_columns(pl.col("problem_id").replace_strict(hashes).alias("problem_sha256"))
    tables.write(current, tmp_path / "r.parquet")
    flags = ["problems", "list", "--langs", LANG, "--results", "r.parquet"]
    listed = await run(tmp_path, *flags)
    assert listed.code == 0, listed.err
    for word in ("always", "sometimes", "+0.50", "66.7%"):
        assert word in listed.out
    assert "Of 3 problems 1 are always solved and 0 never" in listed.out
    tables.write(rows, tmp_path / "r.parquet")  # graded with other tests
    listed = await run(tmp_path, *flags)
    assert listed.code == 2
    assert "holds no scored run of these problems as they are" in listed.err
