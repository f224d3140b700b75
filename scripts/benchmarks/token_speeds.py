"""Simulates streamed answers: how far our speed in tokens per second is from the true one.

python scripts/benchmarks/token_speeds.py [--times N]

Tokens are written at a steady speed from 5 to 2,500 a second, each a little early or late. They are
sent in blocks of a fixed size, at the ticks of a timer, or in blocks of random size as speculative
decoding sends them. One event holds a token or a block. The network delays each block by some
milliseconds, and one in a hundred by 50 ms on average, with all that follow it.

For each rule about the fewest chunks and the shortest time, the table shows the share of the
answers that have a speed, and the error that 95 and 99 of 100 of these answers stay within: over
all ways to send tokens, and in the worst of them.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llmbench.completions import MIN_CHUNKS, MIN_STREAM_SECONDS, Completion
from llmbench.models.token_clock import TokenClock

MEAN_DELAY, LONG_DELAY, LONG_DELAYS = 0.003, 0.05, 0.01
"""Seconds of delay on the way, those of a long delay, and the share of long ones."""


class Sending(NamedTuple):
    """A way to send tokens: in blocks of `size`, in random ones of at most `size`, at `ticks`.

    `by_token` means that each token is an event of its own.
    """

    size: int = 1
    is_random: bool = False
    ticks: float | None = None
    by_token: bool = False


WAYS = tuple(
    way._replace(by_token=by_token)
    for way in (
        *(Sending(size) for size in (1, 4, 16, 64, 256)),
        Sending(8, is_random=True),
        *(Sending(ticks=ticks) for ticks in (0.02, 0.1, 0.5)),
    )
    for by_token in (False, True)
)


class Answer(NamedTuple):
    """A simulated answer as it was timed, and its true speed."""

    completion: Completion
    speed: float

    def error(self) -> float | None:
        """Return the relative error of the measured speed, None if there is no speed."""
        measured = self.completion.tokens_per_second
        return None if measured is None else abs(measured / self.speed - 1)


def simulate(way: Sending, draws: random.Random) -> Answer:
    """Return one answer of 10 to 3,200 tokens."""
    tokens, speed = round(10 ** draws.uniform(1, 3.5)), 10 ** draws.uniform(0.7, 3.4)
    written = _times(tokens, speed, draws)
    lengths = [max(1, round(draws.lognormvariate(1.2, 0.6))) for _ in range(tokens)]
    clock, now, begin = TokenClock(), 0.0, 0
    for end, sent_at in _blocks(written, way, draws):
        now = max(now, sent_at + draws.expovariate(1 / MEAN_DELAY))
        now += draws.expovariate(1 / LONG_DELAY) if draws.random() < LONG_DELAYS else 0.0
        block = lengths[begin:end]
        for length in block if way.by_token else [sum(block)]:
            clock.on_text(now, length)
        begin = end
    completion = Completion(
        "", chunks=clock.chunks, stream_seconds=clock.stream_seconds,
        stream_tokens=clock.tokens_after_first(tokens),
    )  # fmt: skip
    return Answer(completion, (tokens - 1) / (written[-1] - written[0]))


def _times(tokens: int, speed: float, draws: random.Random) -> list[float]:
    """Return the time at which each token is written."""
    spread = draws.choice((0.05, 0.2, 0.5))
    shape = 1 / spread**2
    now, times = 0.0, []
    for _ in range(tokens):
        now += draws.gammavariate(shape, 1 / (speed * shape))
        times.append(now)
    return times


def _blocks(
    written: Sequence[float], way: Sending, draws: random.Random
) -> Iterator[tuple[int, float]]:
    """Yield for each block the index of the token after it and the time at which it is sent."""
    end, tick = 0, written[0] + draws.random() * (way.ticks or 0.0)
    while end < len(written):
        if way.ticks is None:
            size = draws.randint(1, way.size) if way.is_random else way.size
            end = min(end + size, len(written))
            yield end, written[end - 1]
            continue
        begin = end
        while end < len(written) and written[end] <= tick:
            end += 1
        if end > begin:
            yield end, min(tick, written[-1])
        tick += way.ticks


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def simulate_all(times: int, seed: int = 1) -> dict[Sending, list[Answer]]:
    """Return so many answers for each way to send tokens."""
    draws = random.Random(seed)
    return {way: [simulate(way, draws) for _ in range(times)] for way in WAYS}


def main() -> None:
    """Print the errors under some rules, ours among them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=500)
    answers = simulate_all(parser.parse_args().times)
    print("chunks seconds  kept    all: 95 %    99 %   worst: 95 %    99 %")
    for chunks in (2, 3, 4, 6, 10):
        for seconds in (0.0, 0.05, 0.1, 0.2, 0.5, 1.0):
            errors = [
                [abs(_speed(a.completion) / a.speed - 1) for a in ways if _fits(a, chunks, seconds)]
                for ways in answers.values()
            ]
            every = [error for way in errors for error in way]
            share = len(every) / sum(map(len, answers.values()))
            worst = [max(quantile(way, q) for way in errors if len(way) > 30) for q in (0.95, 0.99)]
            ours = " <- ours" if (chunks, seconds) == (MIN_CHUNKS, MIN_STREAM_SECONDS) else ""
            print(
                f"{chunks:6} {seconds:7}  {share:4.0%} {quantile(every, 0.95):12.1%} "
                f"{quantile(every, 0.99):7.1%} {worst[0]:13.1%} {worst[1]:7.1%}{ours}"
            )


def _fits(answer: Answer, chunks: int, seconds: float) -> bool:
    counted, time = answer.completion.chunks or 0, answer.completion.stream_seconds
    return counted >= max(2, chunks) and time is not None and time >= seconds


def _speed(completion: Completion) -> float:
    """Return the speed of an answer without the rule about chunks and time."""
    return (completion.stream_tokens or 0.0) / (completion.stream_seconds or 1.0)


if __name__ == "__main__":
    main()
