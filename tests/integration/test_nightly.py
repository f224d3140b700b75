"""`llmbench nightly`: the accepted night, the trend, the verdict, and what is kept."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
import yaml
from helpers.cli import Ran, environment
from helpers.factories import Passes, alike, result

from llmbench.cli import main
from llmbench.store import provenance, tables

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/nightly.sh"
TARGETS = [{"provider": "vllm", "model": "m"}]
GOOD = alike(**{f"p{i}": [1, 1, 1] for i in range(9)})
BAD = alike(**{f"p{i}": [0, 0, 0] for i in range(9)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sweep(tmp_path)
    return tmp_path


def write_sweep(folder: Path, **changes: object) -> None:
    sweep = {"out": "nights", "targets": TARGETS, "sets": {"all": {}}, **changes}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))


def write_night(
    folder: Path, night: str, passes: Passes, set_: str = "all", model: str = "m", **changes: object
) -> None:
    """Write the result of a target, so that the sweep has no step to do for it."""
    dated = folder / "nights" / set_ / night
    dated.mkdir(parents=True, exist_ok=True)
    table = result(passes, target=f"vllm/{model}", provider="vllm", **changes)
    tables.write(table, dated / f"vllm_{model}.parquet")


def nightly(folder: Path, night: str, *flags: str, page: bool = False) -> Ran:
    """Run the command in this process, which is faster than in one of its own."""
    words = ["nightly", "sweep.yaml", "--quiet", "--date", night, *flags]
    out, err = StringIO(), StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main([*words, *([] if page else ["--no-page"])])
    return Ran(code, out.getvalue(), err.getvalue())


def accepted(folder: Path, set_: str = "all") -> Mapping[str, str]:
    dates: Mapping[str, str] = json.loads((folder / f"nights/{set_}/accepted.json").read_text())
    return dates


def verdict(folder: Path, night: str, set_: str = "all") -> str:
    return (folder / f"nights/{set_}/{night}/summary.md").read_text().splitlines()[0]


def test_each_night_is_compared_with_the_accepted_one_which_does_not_move(folder: Path) -> None:
    nights = [
        ("2026-01-01", GOOD, 0, "# First night: accepted"),
        ("2026-01-02", BAD, 1, "# Regression: vllm/m is 60.0 points below 2026-01-01"),
        ("2026-01-03", BAD, 1, "# Regression: vllm/m is 60.0 points below 2026-01-01"),
        ("2026-01-04", GOOD, 0, "# No regression: vllm/m (all, 2026-01-04)"),
    ]
    for night, passes, code, words in nights:
        write_night(folder, night, passes)
        ran = nightly(folder, night, "--keep", "3", page=night == "2026-01-02")
        assert ran.code == code, ran.err
        assert ran.out == f"nights/all/{night}/summary.md\n"
        assert verdict(folder, night).startswith(words)
        summary = (folder / f"nights/all/{night}/summary.md").read_text()
        assert "chance alone may explain it" not in summary
        assert f"| {night} |" in summary
        assert accepted(folder) == {"vllm/m": "2026-01-01"}
    page = (folder / "nights/all/2026-01-02/report.html").read_text()
    assert "<dd>2026-01-02</dd>" in page
    assert 'id="history"' in page
    names = sorted(path.name for path in (folder / "nights/all").iterdir())
    assert names == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "accepted.json"]


def test_five_problems_of_two_runs_that_all_break_are_a_regression(folder: Path) -> None:
    for night, passed, code in (("2026-01-01", 1, 0), ("2026-01-02", 0, 1), ("2026-01-03", 0, 1)):
        write_night(folder, night, {f"p{i}": [passed] * 2 for i in range(5)})
        ran = nightly(folder, night)
        assert ran.code == code, ran.err
    assert "Regression: vllm/m is 100.0 points below 2026-01-01" in ran.err


def test_a_small_fall_that_lasts_is_found_a_few_nights_later(folder: Path) -> None:
    good = {f"p{i}": [1, 1, 1] for i in range(8)} | {f"q{i}": [0, 1, 1] for i in range(8)}
    worse = good | {"p0": [0, 0, 1], "p1": [0, 0, 0], "p2": [0, 0, 0]}
    codes = []
    for day in range(1, 11):
        write_night(folder, f"2026-01-{day:02}", good if day < 4 else worse)
        codes.append(nightly(folder, f"2026-01-{day:02}").code)
    assert codes[:3] == [0] * 3
    first = codes.index(1)
    assert codes[first:] == [1] * (10 - first)
    assert "has been worse since 2026-01-0" in verdict(folder, "2026-01-10")
    assert accepted(folder) == {"vllm/m": "2026-01-01"}


def test_a_person_accepts_a_night(folder: Path) -> None:
    for night, passes in (("2026-01-01", GOOD), ("2026-01-02", BAD)):
        write_night(folder, night, passes)
        nightly(folder, night)
    ran = nightly(folder, "2026-01-03", "--accept", "2026-01-02")
    assert (ran.code, ran.out) == (0, "nights/all: accepted 2026-01-02 for vllm/m\n")
    write_night(folder, "2026-01-03", BAD)
    assert nightly(folder, "2026-01-03").code == 0
    assert nightly(folder, "2026-01-03", "--accept", "latest").code == 0
    assert accepted(folder) == {"vllm/m": "2026-01-03"}
    for flags, words in (
        (["--accept", "2025-01-01"], "--accept 2025-01-01: no such night: there are 2026-01-01"),
        (["--accept", "latest", "--target", "x/y"], "no such night with x/y"),
        (["--accept", "soon"], "'soon' is not a date such as 2026-01-31, or latest"),
    ):
        ran = nightly(folder, "2026-01-03", *flags)
        assert ran.code == 2
        assert words in ran.err


def test_each_target_and_each_set_has_its_own_verdict(folder: Path) -> None:
    targets = [{"provider": "vllm", "model": ["m", "n"]}]
    write_sweep(folder, targets=targets, sets={"a": {}, "b": {}})
    for night, passes in (("2026-01-01", GOOD), ("2026-01-02", BAD)):
        for set_ in "ab":
            write_night(folder, night, GOOD, set_, "m")
            write_night(folder, night, passes if set_ == "a" else GOOD, set_, "n")
        ran = nightly(folder, night)
    assert ran.code == 1
    assert verdict(folder, "2026-01-02", "a").startswith("# Regression: vllm/n is 60.0 points")
    assert verdict(folder, "2026-01-02", "b") == "# No regression: vllm/m, vllm/n (b, 2026-01-02)"


def test_a_change_of_all_problems_is_reported_once_and_accepted(folder: Path) -> None:
    for night, version, code in (
        ("2026-01-01", "old", 0), ("2026-01-02", "new", 2), ("2026-01-03", "new", 0),
    ):  # fmt: skip
        write_night(folder, night, GOOD, problem_sha256=version)
        ran = nightly(folder, night)
        assert ran.code == code, ran.err
        assert ("all problems have changed" in ran.err) == (code == 2)
    assert accepted(folder) == {"vllm/m": "2026-01-02"}


def test_a_fall_below_the_points_is_no_regression(folder: Path) -> None:
    for night, passes in (("2026-01-01", GOOD), ("2026-01-02", BAD)):
        write_night(folder, night, passes)
        assert nightly(folder, night, "--points", "90").code == 0
    assert nightly(folder, "2026-01-02", "--points", "59").code == 1


def test_old_nights_are_removed_with_their_work_folders(folder: Path) -> None:
    for day in range(1, 6):
        night = f"2026-01-0{day}"
        write_night(folder, night, GOOD)
        work = folder / "_work" / f"2026010{day}-013000-abcd"
        work.mkdir(parents=True)
        provenance.write(work, record(f"nights/all/{night}: all, vllm: m"))
        assert nightly(folder, night, "--keep", "2").code == 0
    other = folder / "_work/20260101-020000-beef"
    other.mkdir()
    provenance.write(other, record(None))
    assert nightly(folder, "2026-01-05", "--keep", "2").code == 0
    dates = sorted(path.name for path in (folder / "nights/all").glob("2*"))
    assert dates == ["2026-01-01", "2026-01-04", "2026-01-05"]
    works = sorted(path.name for path in (folder / "_work").iterdir())
    assert works == [
        "20260101-013000-abcd", "20260101-020000-beef", "20260104-013000-abcd",
        "20260105-013000-abcd",
    ]  # fmt: skip


def record(step: str | None) -> dict[str, object]:
    return {
        "run": "r",
        "options": {},
        "plan": {"endpoints": [], "problems": {}, "test_timeout": 45.0, "runs": 3},
        "sweep_step": step,
        "prompt_template_sha256": {},
        "sessions": [{"sandbox": "docker", "versions": {}, "start": "2026-01-01T01:30:00+00:00"}],
    }


def test_a_night_without_a_result_is_no_good_night(folder: Path) -> None:
    away = {"provider": "vllm", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    write_sweep(folder, targets=[away])
    ran = nightly(folder, "2026-01-01")
    assert ran.code == 1
    assert "no result of 2026-01-01 in nights" in ran.err


def test_a_night_that_lacks_a_target_says_so_first(folder: Path) -> None:
    away = {"provider": "vllm", "model": ["m", "n"], "base_url": "http://127.0.0.1:9/v1"}
    write_sweep(folder, targets=[away])
    write_night(folder, "2026-01-01", GOOD)
    ran = nightly(folder, "2026-01-01")
    assert ran.code == 1
    assert verdict(folder, "2026-01-01") == "# Incomplete: no result of vllm/n (all, 2026-01-01)"


def test_a_folder_that_is_not_that_of_the_sweep_is_refused(folder: Path) -> None:
    write_night(folder, "2026-01-01", GOOD)
    ran = nightly(folder, "2026-01-01", "--nights", "elsewhere")
    assert ran.code == 2
    assert "elsewhere is not the out folder of sweep.yaml: it is nights" in ran.err


def test_a_damaged_list_of_accepted_nights_is_named(folder: Path) -> None:
    write_night(folder, "2026-01-01", GOOD)
    for text in ("{", "[1]", '{"vllm/m": 1}'):
        (folder / "nights/all/accepted.json").write_text(text)
        ran = nightly(folder, "2026-01-01")
        assert ran.code == 2
        assert "nights/all/accepted.json: " in ran.err
        assert len(ran.err.splitlines()) == 1


def test_the_last_good_night_of_earlier_versions_is_the_accepted_one(folder: Path) -> None:
    for night, passes in (("2026-01-01", BAD), ("2026-01-02", GOOD), ("2026-01-03", BAD)):
        write_night(folder, night, passes)
    (folder / "nights/all/last-good").write_text("2026-01-02\n")
    ran = nightly(folder, "2026-01-03")
    assert ran.code == 1
    assert verdict(folder, "2026-01-03").startswith("# Regression: vllm/m is 60.0 points below")


def script(folder: Path, *flags: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *flags],
        cwd=folder,
        env=environment(LLMBENCH=f"{sys.executable} -m llmbench", **more),
        capture_output=True,
        text=True,
    )


def test_the_script_takes_the_arguments_of_earlier_versions(folder: Path) -> None:
    for night, passes in (("2026-01-01", GOOD), ("2026-01-02", BAD)):
        write_night(folder, night, passes)
        ran = script(folder, "sweep.yaml", "nights", "3", NIGHT=night)
        assert ran.stdout == f"nights/all/{night}/summary.md\n"
    assert ran.returncode == 1, ran.stderr
    assert script(folder, "sweep.yaml", "nights", NIGHT=night, POINTS="90").returncode == 0
    assert script(folder, "sweep.yaml", "nights", "none").returncode == 2
    assert script(folder, "sweep.yaml").returncode == 2


def test_names_from_a_result_cannot_write_markdown(folder: Path) -> None:
    evil = "vllm/[m](http://x)\x1b[2J\n# All is well"
    for night, passes in (("2026-01-01", GOOD), ("2026-01-02", BAD)):
        write_night(folder, night, passes)
        path = folder / f"nights/all/{night}/vllm_m.parquet"
        tables.write(tables.read_result(path).drop("source", strict=False).with_columns(
            pl.lit(evil).alias("target")), path)  # fmt: skip
        nightly(folder, night)
    text = (folder / "nights/all/2026-01-02/summary.md").read_text()
    assert text.startswith("# Regression: ")
    assert "\x1b" not in text
    assert "\n# All is well" not in text
    heading = text.splitlines()[0]
    assert "](http" not in heading.replace("\\]", "")
    shutil.rmtree(folder / "nights")
