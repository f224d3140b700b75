"""Speeds in tokens per second: their rule, its error in a simulation, and odd streams."""

import random

import pytest
from token_speeds import WAYS, Sending, quantile, simulate

from llmbench.completions import (
    MAX_SPEED_ERROR,
    MIN_CHUNKS,
    MIN_STREAM_SECONDS,
    Completion,
    ServerTimings,
    TimingSource,
)
from llmbench.models.token_clock import CHUNK_SECONDS, TokenClock


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_95_of_100_speeds_are_within_the_bound_however_tokens_are_sent(way: Sending) -> None:
    draws = random.Random(7)
    errors = [simulate(way, draws).error() for _ in range(300)]
    measured = [error for error in errors if error is not None]
    assert len(measured) > 20
    assert quantile(measured, 0.95) <= MAX_SPEED_ERROR


def timed(*chunks: tuple[float, int], tokens: int, by_token: bool = False) -> Completion:
    """An answer whose chunks came at these times with so many tokens of four characters."""
    clock = TokenClock()
    for now, size in chunks:
        for _ in range(size if by_token else 1):
            clock.on_text(now, 4 if by_token else 4 * size)
    return Completion(
        "", chunks=clock.chunks, stream_seconds=clock.stream_seconds,
        stream_tokens=clock.tokens_after_first(tokens),
    )  # fmt: skip


@pytest.mark.parametrize("by_token", [False, True])
def test_the_tokens_of_the_first_chunk_are_taken_off(by_token: bool) -> None:
    blocks = [(0.5 * i, 100) for i in range(1, 5)]
    answer = timed(*blocks, tokens=400, by_token=by_token)
    assert answer.chunks == 4
    assert answer.tokens_per_second == pytest.approx(200)


def test_an_answer_in_one_block_has_no_speed() -> None:
    answer = timed((1.0, 200), (1.0 + CHUNK_SECONDS / 2, 200), tokens=400)
    assert (answer.chunks, answer.stream_seconds, answer.tokens_per_second) == (1, None, None)


@pytest.mark.parametrize(
    ("chunks", "seconds"), [(MIN_CHUNKS - 1, 10.0), (100, MIN_STREAM_SECONDS * 0.9)]
)
def test_few_chunks_and_short_times_have_no_speed(chunks: int, seconds: float) -> None:
    times = [(1 + seconds * i / (chunks - 1), 10) for i in range(chunks)]
    assert timed(*times, tokens=10 * chunks).tokens_per_second is None


def test_a_fast_stream_is_not_one_chunk() -> None:
    answer = timed(*((i / 2500, 1) for i in range(2500)), tokens=2500)
    assert answer.tokens_per_second == pytest.approx(2500, rel=0.01)


def test_the_count_of_the_server_for_the_first_chunk_is_used() -> None:
    clock = TokenClock()
    for now in (1.0, 2.0, 3.0, 4.0):
        clock.on_text(now, 100)
        clock.on_count(7 if now == 1 else 10)
    assert clock.tokens_after_first(37) == 30


def test_the_speed_of_the_server_comes_first_and_is_named() -> None:
    answer = timed(*((0.1 * i, 1) for i in range(20)), tokens=20)
    assert answer.timing_source == TimingSource.CLIENT
    assert answer.decode_tokens_per_second == answer.tokens_per_second
    own = Completion("", server_timings=ServerTimings(TimingSource.VLLM, None, 50.0))
    assert (own.decode_tokens_per_second, own.timing_source) == (50, TimingSource.VLLM)
    silent = Completion("", server_timings=ServerTimings(TimingSource.LLAMACPP, cached_tokens=3))
    assert (silent.decode_tokens_per_second, silent.timing_source) == (None, None)
