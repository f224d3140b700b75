"""Files that people write are read, or refused in one line that names the file."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from llmbench import yaml_files
from llmbench.errors import RunnerFileError, UsageError

NUMBERS = TypeAdapter(dict[str, int])


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert yaml_files.load_as(tmp_path / "a.yaml", NUMBERS) == {"a": 1}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"a: [", "not YAML: "),
        (b"a: 2020-13-77", "not YAML: month must be in 1..12"),
        (b"a: \xff", "not YAML: "),
        (b"[" * 100_000, "not YAML: "),
        (b"a: b", "a: Input should be a valid integer"),
        (b"3", "the file: Input should be a valid dict"),
        (b"", "the file: Input should be a valid dict"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, data: bytes | None, says: str
) -> None:
    path = tmp_path / "a.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(RunnerFileError) as caught:
        yaml_files.load_as(path, NUMBERS, RunnerFileError)
    assert str(caught.value).startswith(f"{path}: {says}")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        yaml_files.load_as(path, NUMBERS)
