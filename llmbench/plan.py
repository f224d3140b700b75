"""The plan of a run, its defaults, and the order in which it asks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.records import Attempt, Problem, Target

RUNS = 3
TEST_TIMEOUT_SECONDS = 45.0
MAX_TOKENS = 4096
WORK_FOLDER = Path("_work")


@dataclass(frozen=True, slots=True)
class RequestTimeouts:
    """Longest waits for one answer, in seconds, generous enough for slow local models.

    `first_token` runs from the request, over queue, loading of the model and prompt, to the first
    token of any kind; `between_tokens` from one token to the next; `answer` from the request to
    the last byte.
    """

    connect: float = 10.0
    first_token: float = 600.0
    between_tokens: float = 120.0
    answer: float = 3600.0


def bundled_dir(name: str) -> Path:
    """The folder `name` (problems, runners) that came with llmbench: in a wheel or a checkout."""
    package = Path(__file__).parent
    in_wheel = package / "bundled" / name
    return in_wheel if in_wheel.is_dir() else package.parent / name


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """One server's share of a run: its targets, and how many of its answers stream at once.

    `replayed` is True when answers are replayed and no model is asked.
    """

    targets: tuple[Target, ...]
    concurrency: int
    local: bool = False
    replayed: bool = False

    def groups(self, problems: Sequence[Problem], runs: int) -> Iterator[Iterator[Attempt]]:
        """Every attempt at this server once, in groups of which one is finished before the next.

        At a local server a group is a model, because loading one is slow. Within a group run 1 of
        everything comes before run 2, so that a provider's cache cannot fake stability.
        """
        groups = [(target,) for target in self.targets] if self.local else [self.targets]
        return (_group(targets, problems, runs) for targets in groups)


def _group(targets: Sequence[Target], problems: Sequence[Problem], runs: int) -> Iterator[Attempt]:
    for run in range(1, runs + 1):
        for problem in problems:
            for target in targets:
                yield Attempt(target, problem, run)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what a run asks and how it grades.

    Servers are asked side by side, each in its lane. `max_sandboxes` bounds the tests that run at
    once; `test_timeout` bounds the tests of any problem, in seconds by the clock. An answer that
    does not pass is asked for again `max_repairs` times at most. Once answers have cost `max_cost` USD
    nothing more is asked.
    """

    endpoints: tuple[EndpointPlan, ...]
    problems: tuple[Problem, ...]
    runs: int
    max_sandboxes: int
    test_timeout: float
    max_cost: float | None = None
    max_repairs: int = 0

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, lane by lane."""
        return tuple(target for endpoint in self.endpoints for target in endpoint.targets)

    @property
    def size(self) -> int:
        """Number of attempts."""
        return sum(self.totals.values())

    @property
    def totals(self) -> Mapping[str, int]:
        """Number of attempts of each target, by its label."""
        return {target.label: len(self.problems) * self.runs for target in self.targets}

    @property
    def replayed(self) -> bool:
        """True when no model is asked at all."""
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
        """What there is to do, in a line for people."""
        said = (
            f"{self.size} attempts: {len(self.targets)} targets × {len(self.problems)} problems "
            f"× {self.runs} runs"
        )
        if self.max_repairs:
            said += f", with repairs up to round {1 + self.max_repairs}"
        return said + ("; recorded answers are replayed, no model is asked" * self.replayed)

    def workloads(self) -> Iterator[tuple[EndpointPlan, Iterator[Iterator[Attempt]]]]:
        """Each lane with its attempts, every one once, in the order of asking, in its groups."""
        for endpoint in self.endpoints:
            yield endpoint, endpoint.groups(self.problems, self.runs)

    def attempts(self) -> Iterator[Attempt]:
        """Every attempt once, lane by lane."""
        for _, groups in self.workloads():
            for group in groups:
                yield from group

    def ordered(self) -> Iterator[Attempt]:
        """Every attempt once, in the order of tables; none has its given answer."""
        for target in sorted(self.targets, key=lambda t: t.label):
            for problem in sorted(self.problems, key=lambda p: (p.lang, p.id)):
                for run in range(1, self.runs + 1):
                    yield Attempt(target, problem, run)
