"""Files that people write are read, or refused in one line that names the file."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import AfterValidator, TypeAdapter

from llmbench import problems, yaml_files
from llmbench.errors import RunnerFileError, UsageError
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

NUMBERS = TypeAdapter(dict[str, int])
RECORDINGS = Path(yaml_files.__file__).parent / "demo" / "recordings"
SHIPPED = [
    *sorted(bundled_dir("problems").glob("*.yaml")),
    *sorted(bundled_dir("runners").glob("**/*.yaml")),
    *sorted(RECORDINGS.glob("*.yaml")),
]


def write(folder: Path, data: str | bytes) -> Path:
    path = folder / "a.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def doubled(levels: int) -> str:
    """Return a list of lists, each with the one before it twice: 2 ** levels values in all."""
    lists = [f"- &a{level} [*a{level - 1}, *a{level - 1}]" for level in range(1, levels)]
    return "\n".join(["- &a0 [x, x]", *lists])


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbfa: 1\n")
    assert yaml_files.load_as(path, NUMBERS) == {"a": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, ": cannot be read: No such file or directory"),
        (b"a: \xff", ": cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b"a: [", ":1: not YAML: while parsing a flow node, "),
        (b"a: 1\nb: c: d\n", ":2: not YAML: mapping values are not allowed"),
        (b"a: 2020-13-77", ": not YAML: month must be in 1..12"),
        (b"a: \x01", ": not YAML: unacceptable character"),
        (b"a: !!bool maybe", ": not YAML: "),
        (b"a: !!timestamp soon", ": not YAML: "),
        (b"a: 1\n--- 2", ":2: not YAML: expected a single document in the stream"),
        (b"a: &x 2\nb: &x 3", ":2: not YAML: found duplicate anchor"),
        (b"[" * 100_000, ":1: is nested more than 100 levels deep"),
        (b"- " * 100_000, ":1: is nested more than 100 levels deep"),
        (b"a: 1\nb: *c", ":2: *c has no &c above it"),
        (b"a: &a [*a]", ":1: *a is inside the value that it repeats"),
        (doubled(30), ":12: its aliases repeat more than 10000 values"),
        (b"a: b", ": a: Input should be a valid integer"),
        (b"3", ": the file: Input should be a valid dict"),
        (b"", ": the file: Input should be a valid dict"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, data: bytes | str | None, message: str
) -> None:
    path = tmp_path / "a.yaml" if data is None else write(tmp_path, data)
    with pytest.raises(RunnerFileError) as caught:
        yaml_files.load_as(path, NUMBERS, RunnerFileError)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        yaml_files.load_as(path, NUMBERS)


def test_a_validator_speaks_in_its_own_words(tmp_path: Path) -> None:
    def refuse(value: object) -> object:
        raise ValueError("Value error, of a kind")

    adapter = TypeAdapter(Annotated[int, AfterValidator(refuse)])
    path = write(tmp_path, "3")
    with pytest.raises(UsageError) as caught:
        yaml_files.load_as(path, adapter)
    assert str(caught.value) == f"{path}: the file: Value error, of a kind"


def test_nesting_and_aliases_within_the_bounds_are_read(tmp_path: Path) -> None:
    deep: Any = yaml_files.load(write(tmp_path, "[" * 100 + "]" * 100))
    for _ in range(99):
        (deep,) = deep
    assert deep == []
    many = yaml_files.load(write(tmp_path, "- &a [1, 2]\n" + "- *a\n" * 3000))
    assert many == [[1, 2]] * 3001


def test_merge_keys_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a: &a {x: 1}\nb: {<<: *a, y: 2}")
    assert yaml_files.load(path) == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_both_loaders_read_a_shipped_file_alike(path: Path) -> None:
    assert yaml_files.load(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


def test_both_loaders_read_all_shipped_problems_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    languages = {
        lang: runner.option_values for lang, runner in load_runners(bundled_dir("runners")).items()
    }
    sources = [bundled_dir("problems")]
    fast = problems.load(sources, languages)
    monkeypatch.setattr(yaml_files, "_LOADERS", (yaml.SafeLoader,))
    assert problems.load(sources, languages) == fast


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        doubled(30),
        "a: [",
        "a: [\n",
        "a: 1\nb: 'x\n\n\n",
        "- a\n- b\nc: d\n",
        "a: 1\n\tb: 2\n",
        "a: b\nc: d: e",
        "a: 1\n- b",
        "a: 1\n--- 2",
        "a: @x",
        "a: !!python/object:os.system x",
    ],
)
def test_errors_are_those_of_the_loader_written_in_python(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error() -> tuple[str, int | None]:
        with pytest.raises(yaml_files.YamlError) as caught:
            yaml_files.parse(path, lambda loader: loader.get_single_data())
        return caught.value.reason, caught.value.line

    path = write(tmp_path, text)
    fast = error()
    assert fast[1] is not None
    monkeypatch.setattr(yaml_files, "_LOADERS", (yaml.SafeLoader,))
    assert error() == fast


def test_files_are_read_without_libyaml(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1")
    script = (
        "import sys; sys.modules['yaml._yaml'] = None\n"
        "from pathlib import Path; from llmbench import problems, yaml_files\n"
        "assert len(yaml_files._LOADERS) == 1\n"
        "print(yaml_files.load(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "{'a': 1}\n"


def test_a_text_that_libyaml_refuses_is_read_by_the_loader_written_in_python(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "code: |\n  \treturn 1\n  }\n")
    assert yaml_files.load(path) == {"code": "\treturn 1\n}\n"}


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_the_fast_loader_reads_files() -> None:
    (path, *_) = bundled_dir("problems").glob("*.yaml")

    def seconds(read: Callable[[Path], object]) -> float:
        began = time.process_time()
        read(path)
        return time.process_time() - began

    # Measured: 20 times as fast as the loader written in Python.
    ours = min(seconds(yaml_files.load) for _ in range(3))
    assert ours < seconds(lambda path: yaml.safe_load(path.read_bytes())) / 4


@pytest.mark.parametrize("value", ["\\ud800", "\\ud83d\\ude00"])
def test_half_of_a_character_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f'a: 1\nb: "x{value}"')
    with pytest.raises(UsageError, match=r"a\.yaml:2: '\\ud8.*' is half of a character"):
        yaml_files.load(path)
