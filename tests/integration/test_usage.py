"""Wrong usage ends with one clear message; no engine and no model is needed."""

import sys
from pathlib import Path

import anyio
import pytest
from helpers.cli import environment, run, serving

from llmbench.cli import COMMANDS
from llmbench.options import declared_options, flag_of
from llmbench.runs.options import RunOptions

pytestmark = pytest.mark.anyio


async def test_help_lists_the_commands_first_and_everyday_flags_next(tmp_path: Path) -> None:
    ran = await run(tmp_path, "--help")
    assert ran.code == 0
    lines = [line.split()[0] for line in ran.out.splitlines() if line.startswith("  ")]
    places = [lines.index(word) for word in (*COMMANDS, "--provider", "--model", "--runs")]
    assert places == sorted(places)
    assert "--first-token-timeout" not in ran.out
    assert len(ran.out.splitlines()) < 80


async def test_help_of_run_shows_every_flag_with_its_default(tmp_path: Path) -> None:
    ran = await run(tmp_path, "run", "--help")
    assert ran.code == 0
    for field, _ in declared_options(RunOptions):
        assert flag_of(field.name) in ran.out
    assert ran.out.count("default:") >= 25
    assert "--docker-timeout" not in ran.out


async def test_help_imports_no_slow_package(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom llmbench.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "slow = {'polars', 'httpx', 'aiohttp', 'aiodocker', 'pydantic', 'rich', 'numpy'}\n"
        "sys.stderr.write(' '.join(sorted(slow & set(sys.modules))))"
    )
    done = await anyio.run_process([sys.executable, "-c", code], cwd=tmp_path)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--runs", "0"], "'0' is not a whole number from 1 to 1000000"),
        (["--seed", str(2**63)], "is not a whole number from 0 to"),
        (["--max-tokens", str(2**64)], "is not a whole number from 1 to 1000000000"),
        (["--max-sandboxes", str(2**40)], "is not a whole number from 1 to 10000"),
        (["--temperature", "hot"], "'hot' is not a number from 0 to 2"),
        (["--provider", "nobody"], "there is no provider 'nobody'; known: lmstudio"),
        (["runn"], "no command 'runn'; there are: run"),
        (["--modle", "x"], "unrecognized arguments: --modle"),
        (["--problems", "none.yaml"], "--problems none.yaml: no such file or folder"),
        (["--langs", "cobol"], "--langs cobol: no problem is in this language"),
        (["--only", "nothing-*"], "--only nothing-*: no problem id matches"),
        (["--out", "results.txt"], "the name must end in .csv or .parquet"),
        (["--out", "no/such/folder.csv"], "cannot be written"),
        (["--prices", "none.yaml"], "none.yaml: cannot be read"),
        (["--max-cost", "0"], "'0' is not a number from 1e-06"),
        (
            ["--provider", "demo", "--only", "python-atomic-write"],
            "--provider demo: no answer is recorded to python-atomic-write",
        ),
        (["--provider", "demo", "--max-cost", "1"], "is not known: give it in --prices FILE"),
        (["--base-url", "ftp://x"], "--base-url ftp://x: not an address"),
        (["--provider", "openrouter", "--model", "m"], "set OPENROUTER_API_KEY"),
        (["--provider", "openai-compatible", "--model", "m"], "give --base-url"),
    ],
)
async def test_wrong_usage_is_one_clear_line_and_exit_2(
    tmp_path: Path, flags: list[str], words: str
) -> None:
    ran = await run(tmp_path, *flags)
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--base-url", "https://me:sesame@host/v1"],
        ["--base-url", "https://host/v1?key=sesame"],
        ["--base-url", "https://me:sesame@host/v1", "--target", "demo/demo-large"],
        ["--provider", "box"],
    ],
)
async def test_a_secret_that_a_run_would_record_is_refused_and_not_printed(
    tmp_path: Path, flags: list[str]
) -> None:
    if "box" in flags:
        config = tmp_path / "llmbench.yaml"
        config.write_text("providers: {box: {extra: {api_key: sesame}}}")
    ran = await run(tmp_path, *flags)
    assert ran.code == 2
    assert "keys come from variables" in ran.err or "looks like a key" in ran.err
    assert "sesame" not in ran.out + ran.err
    assert not (tmp_path / "_work").exists()


async def test_errors_in_problem_files_are_reported_first(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "- id: a\n  lang: python\n  prompt: p\n  tests: {../x: y}\n- 1\n"
    )
    ran = await run(tmp_path, "--problems", "p.yaml", "--base-url", "http://127.0.0.1:9")
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "llmbench: p.yaml:4: tests.../x: the path must be relative and stay inside the work folder",
        "llmbench: p.yaml:5: a problem is a mapping with id, lang, prompt and tests",
    ]


async def test_an_unreachable_server_is_one_line_with_its_address(tmp_path: Path) -> None:
    ran = await run(tmp_path, "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "http://127.0.0.1:9/v1" in line
    assert "LM Studio" in line


CONFIG = """
providers:
  absent: {{base_url: "http://127.0.0.1:9/v1", local: true}}
  here: {{base_url: "{address}", local: true}}
"""


async def test_without_a_server_the_others_and_the_keys_are_named_with_their_commands(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, "one", "two") as server:
        (tmp_path / "llmbench.yaml").write_text(CONFIG.format(address=server.base_url))
        env = environment(OPENROUTER_API_KEY="sk-secret")
        ran = await run(tmp_path, "--provider", "absent", env=env)
    assert ran.code == 1
    assert "cannot reach http://127.0.0.1:9/v1" in ran.err
    assert "here answers with 2 chat models: llmbench --provider here --model one" in ran.err
    assert "OPENROUTER_API_KEY is set: llmbench models openrouter" in ran.err
    assert "sk-secret" not in ran.err


async def test_with_no_server_and_no_key_the_next_step_is_named(tmp_path: Path) -> None:
    (tmp_path / "llmbench.yaml").write_text(CONFIG.format(address="http://127.0.0.1:10/v1"))
    ran = await run(tmp_path, "--provider", "absent")
    assert ran.code == 1
    assert "llmbench doctor says what is missing" in ran.err


async def test_several_models_without_a_choice_are_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path, "one", "two") as server:
        ran = await run(tmp_path, "--base-url", server.base_url)
    assert ran.code == 2
    assert ran.err == (
        f"llmbench: {server.base_url} offers 2 models: choose with --model NAME from one, two\n"
    )


async def test_an_invalid_key_is_refused_and_not_printed(tmp_path: Path) -> None:
    env = environment(OPENAI_API_KEY="sk-with blank")
    ran = await run(tmp_path, "--provider", "openai", "--model", "m", env=env)
    assert ran.code == 2
    assert "OPENAI_API_KEY" in ran.err
    assert "sk-with" not in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_prints_a_script_for_the_shell(tmp_path: Path, shell: str) -> None:
    ran = await run(tmp_path, "completion", shell)
    assert ran.code == 0
    assert "llmbench" in ran.out
    assert "_ARGCOMPLETE" in ran.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("llmbench pro", {"problems"}),
        ("llmbench compare --ba", {"--baseline"}),
        ("llmbench run --sandbox d", {"docker", "dask"}),
        ("llmbench problems ch", {"check"}),
    ],
)
async def test_the_shell_completes_commands_options_and_values(
    tmp_path: Path, line: str, expected: set[str]
) -> None:
    answers = tmp_path / "answers"
    env = environment(
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_IFS="\n",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answers),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        COMP_TYPE="9",
    )
    await run(tmp_path, env=env)
    assert {word.strip() for word in answers.read_text().split("\n")} == expected


async def test_verbose_logs_requests_on_stderr_and_never_a_key(tmp_path: Path) -> None:
    env = environment(OPENAI_COMPATIBLE_API_KEY="sesame-123")
    async with serving(tmp_path, "one") as server:
        ran = await run(tmp_path, "-vv", "models", "--provider", "openai-compatible", env=env)
        assert ran.code == 2
        ran = await run(
            tmp_path,
            *("models", "-vv", "--provider", "openai-compatible", "--base-url", server.base_url),
            env=env,
        )
    assert ran.code == 0
    assert "DEBUG llmbench" in ran.err or "INFO llmbench" in ran.err
    assert "sesame" not in ran.out + ran.err


async def test_all_keys_are_checked_before_any_server_is_contacted(tmp_path: Path) -> None:
    async with serving(tmp_path, "right") as server:
        flags = ["--base-url", server.base_url, "--model", "right", "--target", "openai/gpt"]
        ran = await run(tmp_path, *flags, "--only", "python-lru*")
        contacted = await run(tmp_path, "--base-url", "http://127.0.0.1:9/v1", *flags[2:])
    for each in (ran, contacted):
        assert each.code == 2
        assert each.err == "llmbench: --provider openai needs a key: set OPENAI_API_KEY\n"
