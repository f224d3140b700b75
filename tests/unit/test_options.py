"""Options: one declaration makes flags, keywords and entries of YAML files."""

import inspect
import re
from datetime import date
from pathlib import Path

import pytest

import llmbench
from llmbench.cli import COMMANDS, load_command
from llmbench.cli.command import Command
from llmbench.errors import UsageError
from llmbench.options import Parser, as_json, declared_options
from llmbench.runs.options import GradeOptions, RunOptions, available_cores


def parse(*words: str) -> RunOptions:
    options = load_command("run").parse(words)
    assert isinstance(options, RunOptions)
    return options


def test_a_flag_and_a_keyword_give_the_same_options() -> None:
    flags = parse(
        "--model", "a", "--model", "b", "--runs", "2", "--langs", "go,python", "-o", "r.csv"
    )
    keywords = RunOptions.from_values(
        {"model": ["a", "b"], "runs": 2, "langs": "go,python", "out": "r.csv"}
    )
    assert flags == keywords
    assert flags.langs == ("go", "python")
    assert flags.out == (Path("r.csv"),)


def test_only_options_that_were_set_are_explicit() -> None:
    assert dict(parse("--runs", "3").explicit) == {"runs": 3}
    assert dict(parse().explicit) == {}


@pytest.mark.parametrize(
    ("former", "name", "value"),
    [
        (["--sandboxes", "3"], "max_sandboxes", 3),
        (["--docker-timeout", "9"], "test_timeout", 9.0),
        (["--warm"], "reuse_containers", True),
        (["--dask", "tcp://x:1"], "dask_scheduler", "tcp://x:1"),
        (["--repair", "2"], "max_repairs", 2),
        (["--no-warm-up"], "warm_up", False),
    ],
)
def test_former_flags_still_work(former: list[str], name: str, value: object) -> None:
    assert getattr(parse(*former), name) == value


def test_former_names_still_work_in_yaml_files_and_in_python() -> None:
    options = RunOptions.from_values(
        {"sandboxes": 2, "docker_timeout": 30, "no_warm_up": True, "warm": True, "repair": 1}
    )
    assert (options.max_sandboxes, options.test_timeout, options.warm_up) == (2, 30, False)
    assert options.reuse_containers
    assert options.max_repairs == 1


def test_a_switch_can_be_turned_off_again() -> None:
    assert not parse("--reuse-containers", "--no-reuse-containers").reuse_containers
    assert not parse("--cache", "--no-cache").cache


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runs": 0}, "runs: 0 is not a whole number from 1 to 1000000"),
        ({"runs": "3"}, "runs: '3' is not a whole number from 1 to 1000000"),
        ({"runs": True}, "runs: True is not a whole number from 1 to 1000000"),
        ({"seed": 2**63}, f"seed: {2**63} is not a whole number from 0 to {2**63 - 10**6}"),
        ({"temperature": float("nan")}, "temperature: nan is not a number from 0 to 2"),
        ({"model": 3}, "model: 3 is not a text"),
        ({"base_url": 3}, "base_url: 3 is not a text"),
        ({"model": {"a": 1}}, "model: {'a': 1} is not a text"),
        ({"model": [["a"]]}, "model: ['a'] is not a text"),
        ({"model": None}, "model: None is not a text"),
        ({"langs": 3}, "langs: 3 is not a text"),
        ({"out": 3}, "out: 3 is not a path"),
        ({"out": ["r.csv", None]}, "out: None is not a path"),
        ({"prices": 3}, "prices: 3 is not a path"),
        ({"runs": None}, "runs: None is not a whole number from 1 to 1000000"),
        ({"quiet": None}, "quiet: None is not true or false"),
        ({"quiet": "yes"}, "quiet: 'yes' is not true or false"),
        ({"sandbox": "vm"}, "sandbox: 'vm' is not one of auto, docker"),
        ({"modle": "x"}, "modle: no such option: options are provider, model"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_option_and_value(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        RunOptions.from_values(values)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "answers is missing: give the file with an answer in each line"),
        ({"answers": 3}, "answers: 3 is not a path"),
    ],
)
def test_a_required_option_must_have_a_value_of_its_type(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        GradeOptions.from_values(values)
    assert str(error.value).startswith(message)


def test_none_is_a_value_of_optional_options_only() -> None:
    options = RunOptions.from_values({"seed": None, "base_url": None, "prices": None})
    assert (options.seed, options.base_url, options.prices) == (None, None, None)


@pytest.mark.parametrize("flag", ["--runs=0", "--runs=x", "--seed=-1", f"--seed={2**63}"])
def test_a_wrong_flag_is_one_line_that_names_flag_and_value(flag: str) -> None:
    name, value = flag.split("=")
    with pytest.raises(UsageError, match=f"^argument {name}: '{value}' is not a whole number"):
        parse(flag)


@pytest.mark.parametrize(
    ("function", "options"), [(llmbench.run, RunOptions), (llmbench.grade, GradeOptions)]
)
def test_the_python_api_takes_every_option_of_its_command(
    function: object, options: type[RunOptions | GradeOptions]
) -> None:
    keywords = set(inspect.signature(function).parameters)  # type: ignore[arg-type]
    assert keywords == {field.name for field, _ in declared_options(options)}


def test_explicit_options_are_converted_to_json() -> None:
    explicit = parse("--out", "a.csv", "--only", "x-*", "--runs", "2").explicit
    assert as_json(explicit) == {"out": ["a.csv"], "only": ["x-*"], "runs": 2}


def commands() -> list[Command]:
    loaded = [load_command(name) for name in COMMANDS]
    return [each for command in loaded for each in (command.actions or {"": command}).values()]


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.prog)
def test_each_title_of_help_heads_one_group(command: Command) -> None:
    parser = Parser(prog=command.prog)
    command.fill(parser)
    titles = [line for line in parser.format_help().splitlines() if re.match(r"\w.*:$", line)]
    assert len(titles) == len(set(titles)) > 0


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.prog)
def test_every_option_has_a_help_text_and_says_its_default(command: Command) -> None:
    text = " ".join(command.parser().format_help().split())
    for field, declared in declared_options(command.options):
        assert " ".join(declared.help.split()) in text
        if not declared.positional and field.type is int:
            assert f"(default: {declared.default or field.default})" in text


def test_test_runs_at_once_are_bounded_by_the_cores_of_this_machine() -> None:
    assert parse().sandbox_slots == available_cores()
    assert parse("--sandbox", "dask", "--dask-scheduler", "tcp://x:1").sandbox_slots > 100


@pytest.mark.parametrize(
    "words",
    [
        ["--model", ""],
        ["--only", ""],
        ["--only", " , "],
        ["--langs", ""],
        ["--problems", ""],
        ["--out", ""],
        ["--base-url", " "],
        ["--target", ""],
        ["--resume", ""],
        ["--config="],
    ],
)
def test_an_empty_value_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="is empty: give a value, or leave it out"):
        parse(*words)
    name = words[0].strip("-=").replace("-", "_")
    with pytest.raises(UsageError, match=f"^{name}: is empty"):
        RunOptions.from_values({name: [*words, ""][1]})


@pytest.mark.parametrize(
    "values",
    [
        {"model": date(2026, 1, 1)},
        {"model": [{"a": 1}]},
        {"problems": 5},
        {"problems": date(2026, 1, 1)},
        {"out": [["a"]]},
        {"config": {"a": "b"}},
        {"prices": 1.5},
        {"temperature": float("nan")},
        {"runs": "3"},
        {"sandbox": ["docker"]},
        {"quiet": "yes"},
    ],
)
def test_a_value_of_another_type_is_refused(values: dict[str, object]) -> None:
    (name,) = values
    with pytest.raises(UsageError, match=f"^{name}: .* is not "):
        RunOptions.from_values(values)


@pytest.mark.parametrize(
    ("value", "reason"), [("a\udcff", r"'a\\udcff' is not UTF-8"), ("a\0b", "holds a NUL")]
)
def test_a_text_that_no_file_can_hold_is_refused(value: str, reason: str) -> None:
    for flag in ("--model", "--out", "--resume"):
        with pytest.raises(UsageError, match=reason):
            parse(flag, value)
    with pytest.raises(UsageError, match=f"^model: {reason}"):
        RunOptions.from_values({"model": ["b", value]})
