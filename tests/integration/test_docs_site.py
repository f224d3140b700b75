"""The site of the manual builds without a warning: no broken link, anchor or docstring."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import docs


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install '.[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=docs.ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "site/reference/index.html").read_text(encoding="utf-8")
    assert "--max-tokens N" in reference
    assert "Ask models, test their answers" in (tmp_path / "site/python-api/index.html").read_text(
        encoding="utf-8"
    )
