"""README.md is true: its commands run, and its tables match the code."""

import re
import shlex
import subprocess
from pathlib import Path

import docs
import pytest
import yaml
from helpers.cli import LANGUAGES, command, environment, run, serving
from helpers.sandboxes import opened

from llmbench import problems
from llmbench.cli import COMMANDS, RUN, load_command
from llmbench.demo import server as recorded
from llmbench.demo.server import RecordedAnswer
from llmbench.plan import RUNS as DEFAULT_RUNS
from llmbench.plan import bundled_dir
from llmbench.records import Outcome, Problem
from llmbench.runners import load_runners
from llmbench.runs.options import RunOptions

README = docs.README.read_text(encoding="utf-8")
SHELL = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line and not line.startswith("#")
]
COMMAND_LINES = [line for line in SHELL if line.startswith("python -m llmbench")]
RESUMES = [line for line in COMMAND_LINES if "--resume" in line]
RUN_LINES = [
    line for line in COMMAND_LINES if shlex.split(line)[3:4] in ([], [RUN]) or " llmbench -" in line
]
PROBLEMS = [line for line in COMMAND_LINES if line.startswith("python -m llmbench problems")]
GRADES = [line for line in COMMAND_LINES if line.startswith("python -m llmbench grade")]
IMAGES = [line for line in COMMAND_LINES if line.startswith("python -m llmbench images")]
MODELS = [line for line in COMMAND_LINES if line.startswith("python -m llmbench models")]
RESULTS = [
    line for line in COMMAND_LINES if line not in RUN_LINES + PROBLEMS + GRADES + MODELS + IMAGES
]
RUNS = [line for line in RUN_LINES if line not in RESUMES]
TESTED_ELSEWHERE = {
    "python3 scripts/demo.py",  # test_scripts.py runs it
    "python3 scripts/test.py",  # runs this test
    "export OPENROUTER_API_KEY=…",  # the runs below set it
}
(ANSWERS,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
SWEEP = """\
out: nights
run: {only: python-lru-ttl-cache, sandbox: bubblewrap}
targets: [{provider: demo, model: demo-small}]
"""


def test_the_tables_match_the_code() -> None:
    assert docs.render(README) == README, "run: python scripts/docs.py"


def test_a_flag_is_listed_by_its_short_and_its_current_name() -> None:
    rows = list(docs.flags("run"))
    assert any(row.startswith("| `-o, --out FILE` | result table") for row in rows)
    assert any(row.startswith("| `--test-timeout S` |") for row in rows)
    assert not any("--docker-timeout" in row for row in rows)


def test_every_command_line_is_run_by_a_test() -> None:
    assert set(SHELL) - set(COMMAND_LINES) == TESTED_ELSEWHERE
    assert len(RUNS) >= 5
    assert {shlex.split(line)[3] for line in RESULTS + PROBLEMS + GRADES + MODELS + IMAGES} == set(
        COMMANDS
    ) - {RUN}


def test_the_table_of_repairs_matches_the_recorded_answers() -> None:
    loaded = problems.load([bundled_dir("problems")], LANGUAGES)
    selected = problems.select(loaded, langs=["python"])
    recordings = recorded.load_recordings(recorded.RECORDINGS, selected)
    by_id = {problem.id: problem for problem in selected}
    expected = []
    for model, recording in sorted(recordings.items()):
        rounds = [
            [_solves(runs[run % len(runs)].in_round(number), by_id[id_]) for number in (1, 2)]
            for id_, runs in recording.answers.items()
            for run in range(DEFAULT_RUNS)
        ]
        first, either = sum(one for one, _ in rounds), sum(map(any, rounds))
        expected += [
            [f"demo/{model}", "1", f"{len(rounds)}", f"{first}", f"{first / len(rounds):.1%}"],
            ["", "2", f"{len(rounds) - first}", f"{either - first}", f"{either / len(rounds):.1%}"],
        ]
    block = README.partition("<!-- repair output -->")[2].partition("<!-- end of")[0]
    rows = [line.split("│")[1:6] for line in block.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in cells] for cells in rows] == expected


def _solves(answer: RecordedAnswer, problem: Problem) -> bool:
    assert problem.reference is not None
    return "".join(problem.reference.split()) in "".join(answer.text.split())


def test_every_outcome_has_a_row() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:100|0|null) ", README, re.MULTILINE) == list(Outcome)


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", RUNS)
async def test_a_run_of_the_readme_succeeds(tmp_path: Path, line: str) -> None:
    runners = load_runners(bundled_dir("runners"))
    async with opened("bubblewrap", runners):
        pass
    flags = shlex.split(line)[3:]
    options = RunOptions.from_values(load_command("run").parse(flags).explicit)
    flags = [
        str(bundled_dir("problems") / "python.yaml") if "/" in f and f.endswith("yaml") else f
        for f in flags
    ]
    targets = dict(target.split("/", 1) for target in options.target)
    models = [*options.model, *targets.values()] or ["the-loaded-one"]
    async with serving(tmp_path, *models) as server:
        is_server = options.provider != "demo" and not targets
        address = ["--base-url", server.base_url] if is_server else []
        providers = {name: {"base_url": server.base_url} for name in targets}
        (tmp_path / "llmbench.yaml").write_text(yaml.safe_dump({"providers": providers}))
        few = ["--only", "python-lru-ttl-cache", "--sandbox", "bubblewrap"]
        env = environment(OPENROUTER_API_KEY="any")
        ran = await run(tmp_path, *flags, *address, *few, env=env)
    assert ran.code == 0, ran.err
    for path in options.out:
        assert (tmp_path / path).stat().st_size > 0


@pytest.mark.anyio
@pytest.mark.parametrize("line", MODELS)
async def test_a_command_of_the_readme_lists_the_models(tmp_path: Path, line: str) -> None:
    async with serving(tmp_path, "near", "far") as server:
        ran = await run(tmp_path, *shlex.split(line)[3:], "--base-url", server.base_url)
    assert ran.code == 0, ran.err
    assert {line.split()[0] for line in ran.out.splitlines() if line.strip()} >= {"near", "far"}


@pytest.mark.docker
@pytest.mark.anyio
@pytest.mark.parametrize("line", IMAGES)
async def test_a_command_of_the_readme_lists_the_images(tmp_path: Path, line: str) -> None:
    runners = load_runners(bundled_dir("runners"))
    async with opened("docker", runners):
        ran = await run(tmp_path, *shlex.split(line)[3:])
    assert ran.code == 0, ran.err
    assert {row.split()[0] for row in ran.out.splitlines() if row.strip()} >= set(runners)


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_the_commands_of_the_readme_resume_a_run(tmp_path: Path) -> None:
    before = COMMAND_LINES[COMMAND_LINES.index(RESUMES[0]) - 1]
    few = ["--only", "python-lru-ttl-cache", "--sandbox", "bubblewrap"]
    messages = []
    for line in [before, *RESUMES]:
        ran = await run(tmp_path, *shlex.split(line)[3:], *few)
        assert ran.code == 0, ran.err
        messages.append(ran.err)
    assert "nothing remains to be done" in messages[1]
    assert (
        "6 attempts are done, 0 answers are graded without asking again, 3 are asked" in messages[2]
    )
    assert len(list(tmp_path.glob("_work/*"))) == 1


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the result files that the README's commands read."""
    folder = tmp_path_factory.mktemp("results")
    names = {word for line in RESULTS for word in shlex.split(line) if word.endswith(".parquet")}
    (folder / "nights/all").mkdir(parents=True)
    names |= {"nights/all/2026-01-30.parquet", "nights/all/2026-01-31.parquet"}
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "answers.jsonl").write_text(ANSWERS)
    files = [word for name in sorted(names) for word in ("--out", name)]
    flags = ["--provider", "demo", "--model", "demo-small", "--only", "python-lru-ttl-cache"]
    subprocess.run(
        command(*flags, "--sandbox", "bubblewrap", *files),
        cwd=folder,
        env=environment(),
        check=True,
    )
    return folder


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", RESULTS)
async def test_a_command_of_the_readme_reads_results(results: Path, line: str) -> None:
    ran = await run(results, *shlex.split(line)[3:])
    assert ran.code == 0, ran.err
    assert ran.out


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", GRADES)
async def test_a_command_of_the_readme_grades_answers(results: Path, line: str) -> None:
    ran = await run(results, *shlex.split(line)[3:], "--sandbox", "bubblewrap")
    assert ran.code == 0, ran.err
    assert "answers/gpt-4.1" in ran.out


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_the_commands_for_a_first_problem_succeed_in_order(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    for line in PROBLEMS:
        flags = shlex.split(line)[3:]
        sandbox = ["--sandbox", "bubblewrap"] if flags[1] == "check" else []
        ran = await run(tmp_path, *flags, *sandbox)
        assert ran.code == 0, ran.err
