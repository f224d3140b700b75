"""The plan of a run, its defaults and the order of its attempts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.records import Attempt, Problem, Target
from llmbench.texts import counted

RUNS = 3
FIRST_RUNS = 3
"""Runs of each problem before a run with `until` decides whether more are needed."""
MOST_RUNS = 10
"""Runs of each problem at most, where `until` is given and their number is not."""
TEST_TIMEOUT_SECONDS = 45.0
MAX_TOKENS = 4096
WORK_FOLDER = Path("_work")


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """Limits for one answer, in seconds, generous enough for slow local models.

    `connect` bounds the connection to the server. `first_token` bounds the time from the request
    to the first token of any kind: the server's queue, loading the model, reading the prompt.
    `between_tokens` bounds the time from one token to the next. `answer` bounds the time from the
    request to the last byte.
    """

    connect: float = 10.0
    first_token: float = 600.0
    between_tokens: float = 120.0
    answer: float = 3600.0


def bundled_dir(name: str) -> Path:
    """Return the folder `name` (problems, runners) of the installed wheel or the checkout."""
    package = Path(__file__).parent
    in_wheel = package / "bundled" / name
    return in_wheel if in_wheel.is_dir() else package.parent / name


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """The part of a run at one server: its targets and its concurrency.

    `concurrency` is the maximum number of answers that stream at once. `local` is True if the
    server must load one model before it can answer for it. `replayed` is True if the server
    replays recorded answers, so that no model is asked.
    """

    targets: tuple[Target, ...]
    concurrency: int
    local: bool = False
    replayed: bool = False

    def groups(self, problems: Sequence[Problem], runs: int) -> Iterator[Iterator[Attempt]]:
        """Yield every attempt at this server once, in groups that run one after the other.

        At a local server each model is a group, because loading one is slow. Within a group, run 1
        of everything comes before run 2, so that a provider's cache cannot fake stability.
        """
        return (
            attempts_of(targets, problems, range(1, runs + 1)) for targets in self.target_groups
        )

    @property
    def target_groups(self) -> Sequence[tuple[Target, ...]]:
        """The targets that are asked side by side, group after group."""
        return [(target,) for target in self.targets] if self.local else [self.targets]


def attempts_of(
    targets: Sequence[Target], problems: Sequence[Problem], runs: Iterable[int]
) -> Iterator[Attempt]:
    """Yield the attempts of these targets at these runs of each problem, run by run."""
    for run in runs:
        for problem in problems:
            for target in targets:
                yield Attempt(target, problem, run)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides which requests a run makes and how it grades the answers.

    The endpoints are asked side by side, and each problem is answered `runs` times by each target.
    `max_sandboxes` bounds the number of tests that run at once. `test_timeout` bounds the tests of
    any problem, in seconds of processor time. The run makes no more requests once the answers have
    cost `max_cost` USD. It asks for at most `max_repairs` repairs of an answer that does not pass.
    With `until`, in percentage points, `runs` is the most: a target gets no further run once its
    pass rate is within ± `until`. What is said of attempts here is then what there may be at most.
    """

    endpoints: tuple[EndpointPlan, ...]
    problems: tuple[Problem, ...]
    runs: int
    max_sandboxes: int
    test_timeout: float
    max_cost: float | None = None
    max_repairs: int = 0
    until: float | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, endpoint by endpoint."""
        return tuple(target for endpoint in self.endpoints for target in endpoint.targets)

    @property
    def size(self) -> int:
        """The number of attempts, repairs not counted."""
        return sum(self.totals.values())

    @property
    def totals(self) -> Mapping[str, int]:
        """The number of attempts of each target, by its label."""
        return {target.label: len(self.problems) * self.runs for target in self.targets}

    @property
    def replayed(self) -> bool:
        """True if no model is asked at all."""
        return all(endpoint.replayed for endpoint in self.endpoints)

    def is_replayed(self, label: str) -> bool:
        """True when the answers of the target with this label are replayed."""
        return any(
            target.label == label
            for endpoint in self.endpoints
            if endpoint.replayed
            for target in endpoint.targets
        )

    @property
    def outline(self) -> str:
        """The size of the run, in one line for people."""
        outline = "at most " * (self.until is not None) + (
            f"{counted(self.size, 'attempt', 'attempts')}: "
            f"{counted(len(self.targets), 'target', 'targets')} × "
            f"{counted(len(self.problems), 'problem', 'problems')} × "
            f"{counted(self.runs, 'run', 'runs')}"
        )
        if self.until is not None:
            outline += f", until each pass rate is within ± {self.until:g} points"
        if self.max_repairs:
            outline += f", with repairs up to round {1 + self.max_repairs}"
        return outline + ("; recorded answers are replayed, no model is asked" * self.replayed)

    def workloads(self) -> Iterator[tuple[EndpointPlan, Iterator[Iterator[Attempt]]]]:
        """Yield each endpoint with the groups of its attempts, in the order of the requests."""
        for endpoint in self.endpoints:
            yield endpoint, endpoint.groups(self.problems, self.runs)

    def attempts(self) -> Iterator[Attempt]:
        """Yield every attempt once, endpoint by endpoint."""
        for _, groups in self.workloads():
            for group in groups:
                yield from group

    def ordered(self) -> Iterator[Attempt]:
        """Yield every attempt once, without its answer, in the row order of result tables."""
        for target in sorted(self.targets, key=lambda t: t.label):
            for problem in sorted(self.problems, key=lambda p: (p.lang, p.id)):
                for run in range(1, self.runs + 1):
                    yield Attempt(target, problem, run)
