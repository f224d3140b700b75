"""`llmbench problems`, as people use it; what it proves it proves in a real sandbox."""

from pathlib import Path

import pytest
import yaml
from helpers.cli import run
from helpers.sandboxes import opened

from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(bundled_dir("runners"))
LANG = "python"


async def needs_bubblewrap() -> None:
    async with opened("bubblewrap", RUNNERS):
        pass


async def checked(folder: Path, *flags: str) -> tuple[int, str]:
    """Exit code and words of a check of p.yaml."""
    ran = await run(
        folder, *"problems check --problems p.yaml --sandbox bubblewrap".split(), *flags
    )
    return ran.code, ran.out + ran.err


def template(folder: Path, **changes: object) -> None:
    """Write a template's problem with other fields into p.yaml; None takes a field away."""
    text = (bundled_dir("runners") / LANG / "authoring" / "template.yaml").read_text()
    (problem,) = yaml.safe_load(text)
    problem |= {"id": "mine", **changes}
    kept = {name: value for name, value in problem.items() if value is not None}
    (folder / "p.yaml").write_text(yaml.safe_dump([kept]))


async def test_the_shipped_problems_are_listed_and_shown(tmp_path: Path) -> None:
    listed = await run(tmp_path, "problems", "list", "--langs", LANG)
    assert listed.code == 0
    assert "python-lru-ttl-cache" in listed.out
    shown = await run(tmp_path, "problems", "show", "python-lru-ttl-cache")
    assert "maxsize" in shown.out
    assert "def test_" not in shown.out
    everything = await run(tmp_path, "problems", "show", "python-lru-ttl-cache", "--everything")
    assert "def test_" in everything.out


@pytest.mark.bubblewrap
async def test_a_new_problem_of_each_language_holds_without_a_warning(tmp_path: Path) -> None:
    await needs_bubblewrap()
    for lang in RUNNERS:
        ran = await run(tmp_path, "problems", "new", f"my-{lang}", "--lang", lang, "-o", "p.yaml")
        assert ran.code == 0, ran.err
    code, words = await checked(tmp_path, "--repeat", "2")
    assert code == 0, words
    assert words.count("reference 2/2; 5 other answers fail") == len(RUNNERS)
    assert f"{len(RUNNERS)} of {len(RUNNERS)} problems hold, 0 with a warning" in words


async def test_new_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    await run(tmp_path, "problems", "new", "a", "--lang", LANG)
    for flags, words in (
        (["a", "--lang", LANG], "a.yaml: holds a problem 'a' already"),
        (["b c", "--lang", LANG], "'b c': an id holds letters"),
        (["b", "--lang", "cobol"], "--lang cobol: no such language; there are: go, python"),
        (["b", "--lang", LANG, "-o", "no/b.yaml"], "no/b.yaml: cannot be written"),
    ):
        ran = await run(tmp_path, "problems", "new", *flags)
        assert (ran.code, words in ran.err) == (2, True), ran.err


@pytest.mark.bubblewrap
async def test_what_does_not_hold_is_a_fault_that_says_what_to_do(tmp_path: Path) -> None:
    await needs_bubblewrap()
    always = "def parse_duration(text):\n    return 45\n"
    template(
        tmp_path,
        tests={"test_solution.py": "def test_nothing():\n    pass\n"},
        wrong={"constant": always, "broken": "def parse_duration(text:\n"},
    )
    code, words = await checked(tmp_path, "--repeat", "1")
    assert code == 1
    assert "FAIL mine" in words
    for line in (
        "fault: the wrong answer constant passes: add a test that it fails",
        "fault: the wrong answer broken passes: add a test that it fails",
        "fault: an empty answer passes",
        "fault: the stub of its prompt passes",
        "warning: 2 wrong answers: add plausible mistakes, 3 or more",
        "0 of 1 problems hold, 1 with a warning",
    ):
        assert line in words


@pytest.mark.bubblewrap
async def test_a_reference_that_passes_by_chance_is_a_fault_and_its_log_is_shown(
    tmp_path: Path,
) -> None:
    await needs_bubblewrap()
    test = (
        "import os\nfrom solution import parse_duration\n\n"
        "def test_parity():\n    assert os.stat('.').st_ino is not None\n"
        "    assert parse_duration('1s') == 1\n"
        "    assert os.urandom(1)[0] % 2 == 0, 'an odd byte'\n"
    )
    template(tmp_path, tests={"test_solution.py": test})
    code, words = await checked(tmp_path, "--repeat", "20")
    assert code == 1
    assert "of 20 times (failed): take chance and time out of the tests" in words
    assert "an odd byte" in words


@pytest.mark.bubblewrap
async def test_a_wrong_answer_that_does_not_compile_must_be_declared(tmp_path: Path) -> None:
    await needs_bubblewrap()
    broken = {"broken": "def parse_duration(text:\n"}
    template(tmp_path, wrong=broken)
    code, words = await checked(tmp_path, "--repeat", "1")
    assert code == 1
    assert "the wrong answer broken does not compile, so no test judged it" in words
    template(tmp_path, wrong=broken, compile_errors=["broken"])
    assert (await checked(tmp_path, "--repeat", "1"))[0] == 0
    always = {"late": "def parse_duration(text):\n    return 45\n"}
    template(tmp_path, wrong=always, compile_errors=["late"])
    code, words = await checked(tmp_path, "--repeat", "1")
    assert code == 1
    assert "ended as failed, and compile_errors says that it does not compile" in words


@pytest.mark.bubblewrap
async def test_a_problem_without_a_reference_holds_with_a_warning(tmp_path: Path) -> None:
    await needs_bubblewrap()
    template(tmp_path, reference=None)
    code, words = await checked(tmp_path)
    assert code == 0
    assert "warning: no reference: nothing shows that it can be solved" in words


@pytest.mark.bubblewrap
async def test_mistakes_that_the_tests_miss_are_shown_and_their_share_told(tmp_path: Path) -> None:
    pytest.importorskip("tree_sitter")
    await needs_bubblewrap()
    tests = "from solution import twice\n\ndef test_of_two():\n    assert twice(2) == 4\n"
    template(
        tmp_path,
        tests={"test_solution.py": tests},
        reference="def twice(x):\n    return x * 2\n\n\ndef unused():\n    return 7\n",
        wrong={"same": "def twice(x):\n    return x\n"},
    )
    code, words = await checked(tmp_path, "--repeat", "1", "--mutate")
    assert code == 0, words
    assert "mutants: 4 of 7 killed (57%)" in words
    assert "survived: line 6, number: add a test" in words
    assert "-    return 7\n" in words
    assert "+    return 8\n" in words
    assert "57% of the mutants of 1 references killed" in words
