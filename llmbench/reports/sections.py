"""The texts of an attempt, as far as they are still there, and else why they are not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llmbench import extraction, problems, prompts
from llmbench.errors import ProblemFileError
from llmbench.records import Row
from llmbench.runners import Runner
from llmbench.store import artifacts
from llmbench.store.artifacts import AttemptArtifacts


class Section(NamedTuple):
    """A text under its title, or the reason why it is not there; `name` is that of its file."""

    title: str
    text: str | None
    missing: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class AttemptSections:
    """What tells texts from a row: the languages, and the prompt of each problem, by its hash."""

    runners: Mapping[str, Runner]
    prompts: Mapping[str, str]

    @classmethod
    def load(cls, paths: Sequence[Path], runners: Mapping[str, Runner]) -> "AttemptSections":
        """Prompts as they are sent for the problems in these files; none if a file is faulty."""
        languages = {lang: runner.option_values for lang, runner in runners.items()}
        sent = {}
        try:
            for problem in problems.load(paths, languages):
                asked = prompts.messages(problem, runners[problem.lang].config.instructions)
                parts = (f"[{message.role}]\n{message.content}" for message in asked)
                sent[problem.sha256] = "\n\n".join(parts)
        except ProblemFileError:
            sent.clear()
        return cls(runners, sent)

    def sections(
        self, row: Row, found: AttemptArtifacts, before: Row | None = None
    ) -> Iterator[Section]:
        """Prompt, reasoning if there is any, answer, code and log of the attempt in `row`.

        The prompt of a later round is what was said of the answer in `before`.
        """
        if before is None:
            yield Section("prompt", self.prompts.get(row.problem_sha256), "problem "
                          f"{row.problem_id} has changed since, or is not among those of "
                          "--problems: its hash was " + row.problem_sha256[:12])  # fmt: skip
        else:
            yield Section("prompt", prompts.complaint(before).content)
        answer, files, gone = found.completion, found.files, _gone(row, found)
        reasoning = answer.reasoning if answer else files.get(artifacts.REASONING)
        if reasoning:
            yield Section("reasoning", reasoning)
        text = answer.text if answer else files.get(artifacts.ANSWER)
        yield Section("answer", text, gone)
        yield self._code(row, text, files, gone)
        log = files.get(artifacts.LOG)
        if log is None and row.log_head:
            yield Section("log, its head alone", row.log_head)
        else:
            yield Section("log", log or None, "nothing was printed" if log == "" else gone)

    def _code(self, row: Row, text: str | None, files: Mapping[str, str], gone: str) -> Section:
        """The code that was kept; else as it is found in the answer."""
        runner = self.runners.get(row.lang)
        if runner is None:
            return Section("code", None, f"no runner here knows the language {row.lang}")
        name = runner.config.solution
        code = files.get(name)
        if code is None and text is not None:
            about = runner.config
            code = extraction.extract(
                text, fences=about.fences, code_patterns=about.code_patterns
            ).code
            gone = "the answer holds none"
        return Section(f"code: {name}", code, gone, name)


def _gone(row: Row, found: AttemptArtifacts) -> str:
    """Why an answer is not there."""
    if row.llm_seconds is None:
        return "the server gave no answer"
    if found.work is not None:
        return f"it was removed from {found.work}"
    return "the run's work folder was not found; name the folder that holds it with --work"
