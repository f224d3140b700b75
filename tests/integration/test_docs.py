"""The manual is true: its commands run, its flags exist, and its copies are alike."""

import argparse
import re
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helpers import manual
from helpers.cli import LANGUAGES, command, environment, run, serving
from helpers.manual import CommandLine
from helpers.sandboxes import opened

import docs
from llmbench import problems
from llmbench.cli import COMMANDS, RUN, load_command
from llmbench.demo import server as recorded
from llmbench.demo.server import RecordedAnswer
from llmbench.plan import RUNS as DEFAULT_RUNS
from llmbench.plan import bundled_dir
from llmbench.records import Outcome, Problem
from llmbench.runners import load_runners
from llmbench.runs.options import RunOptions

LINES = manual.command_lines()
RUN_LINES = [line for line in LINES if line.command == RUN]
RESUMES = [line for line in RUN_LINES if "--resume" in line.flags]
ELSEWHERE = {
    "python3 scripts/demo.py": "test_scripts.py",
    "python3 scripts/test.py": "runs this test",
    "uv tool install '.[report,toolchains]'": "test_wheel.py installs the package",
    "pip install '.[report,toolchains]'": "test_wheel.py installs the package",
    "export OPENROUTER_API_KEY=…": "the runs below set it",
    "llmbench images build": "test_images_command.py",
    "llmbench images push registry.example/team": "test_images_command.py",
    "llmbench images pull registry.example/team": "test_images_command.py",
}
"""Commands that other tests run."""

FOREIGN_FLAGS = {
    "--nthreads", "--hostfile", "--scheduler-file",  # Dask
    "--user", "--scope",  # systemd-run
    "--oci-seccomp",  # gVisor
    "--port", "--parallel",  # llama.cpp
    "--chmod",  # COPY of a Dockerfile
    "--strict",  # mkdocs
    "--all-extras", "--universal", "--python-version", "--no-header", "--no-annotate",  # uv
    "--at-once",  # benchmarks
}  # fmt: skip


def lines_of(*names: str) -> list[CommandLine]:
    return [line for line in LINES if line.command in names and line.line not in ELSEWHERE]


RUNS = [line for line in RUN_LINES if line not in RESUMES and "dask" not in line.flags]
PROBLEMS = lines_of("problems")
READS = [
    line for line in LINES if line.command not in (RUN, "problems", "grade", "models", "images")
]
SWEEP = """\
out: nights
run: {only: python-lru-ttl-cache, sandbox: bubblewrap}
targets: [{provider: demo, model: demo-small}]
"""


def test_copies_are_like_their_originals() -> None:
    shared = docs.shared_texts()
    for page in docs.PAGES:
        text = page.read_text(encoding="utf-8")
        assert docs.copy(text, shared) == text, "run: python scripts/docs.py"


def test_every_table_of_the_code_is_inserted_somewhere() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in docs.PAGES)
    assert set(docs.INSERT.findall(texts)) == set(docs.INSERTS)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from parsers(subparser)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_in_the_reference(name: str) -> None:
    reference = docs.insert((docs.ROOT / "docs/reference.md").read_text(encoding="utf-8"))
    for parser in parsers(load_command(name).parser()):
        _, _, section = reference.partition(f"# {parser.prog}\n")
        section, _, _ = section.partition("\n##")
        assert section, parser.prog
        listed = {
            flag
            for usage in re.findall(r"^\| `([^`]*)` \|", section, re.MULTILINE)
            for flag in re.findall(r"(?<!\S)--?[a-z][\w-]*", usage)
        }
        flags = {
            flag
            for action in parser._actions
            if action.help != argparse.SUPPRESS and action.dest not in ("verbose", "help")
            for flag in action.option_strings
        }
        assert listed == flags


def known_flags() -> set[str]:
    return {
        flag
        for name in COMMANDS
        for parser in parsers(load_command(name).parser())
        for action in parser._actions
        for flag in action.option_strings
    } | {"--version", "--json"}


@pytest.mark.parametrize("page", docs.PAGES, ids=lambda page: str(page.relative_to(docs.ROOT)))
def test_every_flag_in_a_sentence_exists(page: Path) -> None:
    named = {flag for code in manual.codes(page) for flag in re.findall(r"(?<!\S)--[\w-]+", code)}
    assert named <= known_flags() | FOREIGN_FLAGS


@pytest.mark.parametrize("page", docs.PAGES, ids=lambda page: str(page.relative_to(docs.ROOT)))
def test_every_extra_in_a_page_exists(page: Path) -> None:
    project = tomllib.loads((docs.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    named = {
        name
        for names in re.findall(r"(?:llmbench|'\.)\[([\w,]+)\]", text)
        for name in names.split(",")
    }
    assert named <= set(project["project"]["optional-dependencies"])


def test_every_command_line_is_run_by_a_test() -> None:
    assert set(manual.shell_lines()) - {line.line for line in LINES} <= set(ELSEWHERE)
    assert set(ELSEWHERE) <= set(manual.shell_lines())
    assert {line.command for line in LINES} == set(COMMANDS)
    assert len(RUNS) >= 8


@pytest.mark.parametrize("line", LINES, ids=str)
def test_every_command_line_is_valid(line: CommandLine) -> None:
    load_command(line.command).parse(line.flags)


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
    table = manual.block("docs/repair.md", "text", "by round")
    rows = [line.split("│")[1:6] for line in table.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in cells] for cells in rows] == expected


def _solves(answer: RecordedAnswer, problem: Problem) -> bool:
    assert problem.reference is not None
    return "".join(problem.reference.split()) in "".join(answer.text.split())


@pytest.mark.parametrize("name", ["terminal", "report"])
def test_a_picture_shows_the_figures_of_the_demo_and_loads_nothing(name: str) -> None:
    text = (docs.ROOT / f"docs/images/{name}.svg").read_text(encoding="utf-8")
    texts = [each.replace("\xa0", " ") for each in ElementTree.fromstring(text).itertext() if each]
    cells = {*" ".join(texts).split()}
    table = manual.block("docs/getting-started.md", "text", "Recorded answers")
    leaderboard = table.partition("leaderboard\n")[2].splitlines()[2:]
    rows = [line.split()[:6] for line in leaderboard]
    assert len(rows) == 3
    assert {cell for row in rows for cell in row[1:]} <= cells
    # A name may be broken after its slash.
    assert all(row[0] in "".join(texts) for row in rows)
    assert not re.search(r"(?:src|href)=.(?!#)|@font-face|@import|<script", text)


def test_every_outcome_has_a_row() -> None:
    results = (docs.ROOT / "docs/results.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| (?:100|0|null) ", results, re.MULTILINE) == list(Outcome)


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", RUNS, ids=str)
async def test_a_run_of_the_manual_succeeds(tmp_path: Path, line: CommandLine) -> None:
    runners = load_runners(bundled_dir("runners"))
    async with opened("bubblewrap", runners):
        pass
    options = RunOptions.from_values(load_command(RUN).parse(line.flags).explicit)
    flags = [str(docs.ROOT / f) if f == "problems/python.yaml" else f for f in line.flags]
    if "--only" in flags:
        select_problems(options)
    for flag in ("--only", "--context"):  # the server of the test takes no context
        if flag in flags:
            del flags[flags.index(flag) : flags.index(flag) + 2]
    targets = dict(target.split("/", 1) for target in options.target)
    models = [*options.model, *targets.values()] or ["the-loaded-one"]
    async with serving(tmp_path, *models) as server:
        is_server = options.provider != "demo" and not targets
        address = ["--base-url", server.base_url] if is_server else []
        providers: dict[str, dict[str, str]] = {
            name: {"base_url": server.base_url} for name in targets
        }
        if is_server:  # the server of the test speaks that protocol alone
            providers[options.provider] = {"protocol": "chat"}
        (tmp_path / "llmbench.yaml").write_text(yaml.safe_dump({"providers": providers}))
        few = ["--only", "python-lru-ttl-cache", "--sandbox", "bubblewrap"]
        if options.max_cost is not None:  # the real server tells its prices
            price = {"prompt": 1, "completion": 1}
            (tmp_path / "prices.yaml").write_text(yaml.safe_dump(dict.fromkeys(models, price)))
            few += ["--prices", "prices.yaml"]
        env = environment(OPENROUTER_API_KEY="any")
        ran = await run(tmp_path, *flags, *address, *few, env=env)
    assert ran.code == 0, ran.err
    for path in options.out:
        assert (tmp_path / path).stat().st_size > 0


def select_problems(options: RunOptions) -> None:
    """Fail unless each pattern of `--only` selects a bundled problem."""
    loaded = problems.load([bundled_dir("problems")], LANGUAGES)
    for pattern in options.only:
        assert problems.select(loaded, only=[pattern])


@pytest.mark.anyio
@pytest.mark.parametrize("line", lines_of("models"), ids=str)
async def test_a_command_of_the_manual_lists_the_models(tmp_path: Path, line: CommandLine) -> None:
    async with serving(tmp_path, "near", "far") as server:
        ran = await run(tmp_path, *line.words, "--base-url", server.base_url)
    assert ran.code == 0, ran.err
    assert {line.split()[0] for line in ran.out.splitlines() if line.strip()} >= {"near", "far"}


@pytest.mark.docker
@pytest.mark.anyio
@pytest.mark.parametrize("line", lines_of("images"), ids=str)
async def test_a_command_of_the_manual_lists_the_images(tmp_path: Path, line: CommandLine) -> None:
    runners = load_runners(bundled_dir("runners"))
    async with opened("docker", runners):
        ran = await run(tmp_path, *line.words)
    assert ran.code == 0, ran.err
    assert {row.split()[0] for row in ran.out.splitlines() if row.strip()} >= set(runners)


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_the_commands_of_the_manual_resume_a_run(tmp_path: Path) -> None:
    first = RESUMES[0].page
    page = [line for line in LINES if line.page == first]
    before = page[page.index(RESUMES[0]) - 1]
    few = ["--only", "python-lru-ttl-cache", "--sandbox", "bubblewrap"]
    messages = []
    for line in [before, *(line for line in RESUMES if line.page == first)]:
        ran = await run(tmp_path, *line.words, *few)
        assert ran.code == 0, ran.err
        messages.append(ran.err)
    assert "nothing remains to be done" in messages[1]
    assert (
        "6 attempts are done, 0 answers are graded without asking again, 3 are asked" in messages[2]
    )
    assert len(list(tmp_path.glob("_work/*"))) == 1


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the result files that the manual's commands read."""
    folder = tmp_path_factory.mktemp("results")
    names = {word for line in READS for word in line.words if word.endswith(".parquet")}
    (folder / "nights/all").mkdir(parents=True)
    names |= {"nights/all/2026-01-30.parquet", "nights/all/2026-01-31.parquet"}
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "answers.jsonl").write_text(manual.block("docs/grading.md", "json"))
    others = {"openrouter.parquet"}  # shown beside another model's
    for model, chosen in (("demo-small", names - others), ("demo-large", names & others)):
        files = [word for name in sorted(chosen) for word in ("--out", name)]
        flags = ["--provider", "demo", "--model", model, "--only", "python-lru-ttl-cache"]
        subprocess.run(
            command(*flags, "--sandbox", "bubblewrap", *files),
            cwd=folder,
            env=environment(),
            check=True,
        )
    return folder


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", READS, ids=str)
async def test_a_command_of_the_manual_reads_results(results: Path, line: CommandLine) -> None:
    ran = await run(results, *line.words)
    assert ran.code == 0, ran.err
    assert ran.out


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", lines_of("grade"), ids=str)
async def test_a_command_of_the_manual_grades_answers(results: Path, line: CommandLine) -> None:
    ran = await run(results, *line.words, "--sandbox", "bubblewrap")
    assert ran.code == 0, ran.err
    assert "answers/gpt-4.1" in ran.out


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_the_commands_for_a_first_problem_succeed_in_order(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    for page in {line.page for line in PROBLEMS}:
        manual.write_files(page, tmp_path)
    for line in PROBLEMS:
        sandbox = ["--sandbox", "bubblewrap"] if line.flags[0] == "check" else []
        ran = await run(tmp_path, *line.words, *sandbox)
        assert ran.code == 0, ran.err
