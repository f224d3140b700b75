"""Options of the commands that show the texts of attempts."""

from pathlib import Path
from typing import ClassVar

from attrs import field, frozen

from llmbench.options import distinct_paths, option, optional_path
from llmbench.plan import bundled_dir
from llmbench.runs.options import RunnerOptions


@frozen(kw_only=True, slots=False)
class AttemptTextOptions(RunnerOptions):
    """The places of prompts, answers and logs."""

    TITLE: ClassVar[str] = "texts of attempts"

    work_dir: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "folder that holds the runs' folders",
            "FOLDER",
            default="_work beside the result file, and here",
            former=["--work"],
        ),
    )
    problems: tuple[Path, ...] = field(
        default=(),
        converter=distinct_paths,
        metadata=option(
            "problem file or folder that has the prompts; repeatable",
            "PATH",
            default="the bundled problems",
        ),
    )

    @property
    def problem_paths(self) -> tuple[Path, ...]:
        """The problem files and folders to read."""
        return self.problems or (bundled_dir("problems"),)
