"""The sections of an attempt: prompt, reasoning, answer, code and log, where they still exist."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llmbench import problems, prompts
from llmbench.errors import ProblemFileError
from llmbench.extraction import extract
from llmbench.records import Row
from llmbench.runners import Runner
from llmbench.store import artifacts
from llmbench.store.artifacts import AttemptArtifacts


class Section(NamedTuple):
    """A text under its title, or the reason why it is missing.

    `name` is the file name of code, which tells its language.
    """

    title: str
    text: str | None
    missing: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AttemptSections:
    """Makes the sections of attempts from their rows and artifacts.

    `runners` are the languages by name, `prompts` the prompts by the hash of their problem.
    """

    runners: Mapping[str, Runner]
    prompts: Mapping[str, str]

    @classmethod
    def load(cls, paths: Sequence[Path], runners: Mapping[str, Runner]) -> "AttemptSections":
        """Read the prompts of the problems in these files; there are none if a file is faulty."""
        languages = {lang: runner.option_values for lang, runner in runners.items()}
        texts = {}
        try:
            for problem in problems.load(paths, languages):
                messages = prompts.messages(problem, runners[problem.lang].config.instructions)
                parts = (f"[{message.role}]\n{message.content}" for message in messages)
                texts[problem.sha256] = "\n\n".join(parts)
        except ProblemFileError:
            texts.clear()
        return cls(runners, texts)

    def sections(
        self, row: Row, stored: AttemptArtifacts, before: Row | None = None
    ) -> Iterator[Section]:
        """Yield prompt, reasoning if there is any, answer, code and log of the attempt in `row`.

        The prompt of a repair is the message about the answer in `before`.
        """
        if before is None:
            yield Section("prompt", self.prompts.get(row.problem_sha256), "problem "
                          f"{row.problem_id} has changed since, or is not among those of "
                          "--problems: its hash was " + row.problem_sha256[:12])  # fmt: skip
        else:
            yield Section("prompt", prompts.complaint(before).content)
        answer, files, missing = stored.completion, stored.files, _why_missing(row, stored)
        reasoning = answer.reasoning if answer else files.get(artifacts.REASONING)
        if reasoning:
            yield Section("reasoning", reasoning)
        text = answer.text if answer else files.get(artifacts.ANSWER)
        yield Section("answer", text, missing)
        yield self._code(row, text, files, missing)
        log = files.get(artifacts.LOG)
        if log is None and row.log_head:
            yield Section("log, its head alone", row.log_head)
        else:
            yield Section("log", log or None, "nothing was printed" if log == "" else missing)

    def _code(self, row: Row, text: str | None, files: Mapping[str, str], missing: str) -> Section:
        """Return the code file; without one, the code extracted from the answer."""
        runner = self.runners.get(row.lang)
        if runner is None:
            return Section("code", None, f"no runner here knows the language {row.lang}")
        name = runner.config.solution
        code = files.get(name)
        if code is None and text is not None:
            code = extract(text, runner.syntax).code
            missing = "the answer holds none"
        return Section(f"code: {name}", code, missing, name)


def _why_missing(row: Row, stored: AttemptArtifacts) -> str:
    """Return the reason why an answer is missing."""
    if row.llm_seconds is None:
        return "the server gave no answer"
    if stored.work is not None:
        return f"it was removed from {stored.work}"
    return "the run's work folder was not found; name the folder that holds it with --work"
