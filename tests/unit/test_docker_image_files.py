"""The image of a runner is compared with the files that a container reads."""

from pathlib import Path

from llmbench.sandboxes.docker import images


def test_what_python_or_pip_has_compiled_is_no_part_of_an_image(tmp_path: Path) -> None:
    for name in (
        "run.py",
        "runner.yaml",
        "authoring/template.yaml",
        "skipped/a",
        "lib/b.py",
        "__pycache__/run.cpython-311.pyc",
        "lib/__pycache__/b.cpython-311.pyc",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / ".dockerignore").write_text("authoring\nskipped\n")
    assert [str(path) for path in images.image_files(tmp_path)] == ["lib/b.py", "run.py"]
