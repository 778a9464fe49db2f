"""Clocks: burn-in first, then rounds, each summed up by its median."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True)
class Times:
    """The median of each round, and every single call; milliseconds."""

    rounds_ms: list[float]
    calls_ms: list[float]


def time_calls(
    call: Callable[[], object], *, rounds: int = 5, round_s: float = 0.2, least: int = 3
) -> Times:
    """Call again and again, at least `least` times a round; the first calls do not count."""
    start_s = perf_counter()
    call()
    while perf_counter() - start_s < round_s / 2:
        call()
    medians, calls = list[float](), list[float]()
    for _ in range(rounds):
        times = list[float]()
        start_s = perf_counter()
        while len(times) < least or perf_counter() - start_s < round_s:
            began_s = perf_counter()
            call()
            times.append(1000 * (perf_counter() - began_s))
        medians.append(median(times))
        calls += times
    return Times(medians, calls)
