"""README.md says what is true: its commands run, its tables are the code's."""

import re
import shlex
from pathlib import Path

import docs
import pytest
from cli_runs import environment, run, serving
from sandboxes_of import opened

from llmbench.cli.options.run import parse
from llmbench.config import shipped
from llmbench.records import Outcome
from llmbench.sandboxes.runners import load_runners

README = docs.README.read_text(encoding="utf-8")
SHELL = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line and not line.startswith("#")
]
OURS = [line for line in SHELL if line.startswith("python -m llmbench")]
PROBLEMS = [line for line in OURS if line.startswith("python -m llmbench problems")]
RUNS = [line for line in OURS if line not in PROBLEMS]
ELSEWHERE = {
    "python3 scripts/demo.py",  # test_scripts.py runs it
    "python3 scripts/test.py",  # runs this test
    "docker compose build",  # scripts/test.py runs it
    "export OPENROUTER_API_KEY=…",  # set for the runs below
}


def test_flags_providers_and_columns_are_those_of_the_code() -> None:
    assert docs.render(README) == README, "run: python scripts/docs.py"


def test_every_command_is_run_by_some_test() -> None:
    assert set(SHELL) - set(OURS) == ELSEWHERE
    assert len(RUNS) >= 5


def test_every_outcome_is_explained() -> None:
    assert re.findall(r"^\| `(\w+)` \| (?:100|0|null) ", README, re.MULTILINE) == list(Outcome)


@pytest.mark.bubblewrap
@pytest.mark.anyio
@pytest.mark.parametrize("line", RUNS)
async def test_a_command_of_the_readme_runs(tmp_path: Path, line: str) -> None:
    runners = load_runners(shipped("runners"))
    async with opened("bubblewrap", runners):
        pass
    flags = shlex.split(line)[3:]
    options = parse(flags)
    flags = [
        str(shipped("problems") / "python.yaml") if "/" in f and f.endswith("yaml") else f
        for f in flags
    ]
    model = options.models[0] if options.models else "the-loaded-one"
    async with serving(tmp_path, model) as server:
        here = [] if options.provider == "demo" else ["--base-url", server.base_url]
        few = ["--only", "python-lru-ttl-cache", "--sandbox", "bubblewrap"]
        env = environment(OPENROUTER_API_KEY="any")
        ran = await run(tmp_path, *flags, *here, *few, env=env)
    assert ran.code == 0, ran.err
    for path in options.out:
        assert (tmp_path / path).stat().st_size > 0


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_the_commands_for_a_first_problem_run_one_after_the_other(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(shipped("runners"))):
        pass
    for line in PROBLEMS:
        flags = shlex.split(line)[3:]
        here = ["--sandbox", "bubblewrap"] if flags[1] == "check" else []
        ran = await run(tmp_path, *flags, *here)
        assert ran.code == 0, ran.err
