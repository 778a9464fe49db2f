"""What is counted while a session runs: delays and what became of every frame."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

BIN_MS = 0.5
LONGEST_MS = 2000.0
RECENT = 60
"""Frames over which the current rate is measured."""


class Delays:
    """A distribution of delays in constant memory; added to by one thread, read by any.

    Quantiles are exact to half a millisecond; what took longer than two seconds counts as that.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(round(LONGEST_MS / BIN_MS) + 1, np.int64)
        self.worst_ms = 0.0

    def add(self, delay_s: float) -> None:
        """Count one delay."""
        delay_ms = 1000 * delay_s
        self._counts[min(max(int(delay_ms / BIN_MS), 0), len(self._counts) - 1)] += 1
        self.worst_ms = max(self.worst_ms, delay_ms)

    @property
    def count(self) -> int:
        """How many were added."""
        return int(self._counts.sum())

    def quantile_ms(self, share: float) -> float:
        """The delay that this share of all did not exceed; 0 if there is none."""
        total = np.cumsum(self._counts)
        if not total[-1]:
            return 0.0
        return float((np.searchsorted(total, share * total[-1]) + 1) * BIN_MS)

    def figures(self) -> Percentiles:
        """The usual quantiles."""
        p50, p95, p99 = (self.quantile_ms(share) for share in (0.5, 0.95, 0.99))
        return Percentiles(p50, p95, p99, self.worst_ms)


@dataclass(frozen=True)
class Percentiles:
    """Quantiles of a delay, in milliseconds."""

    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0

    def __str__(self) -> str:
        return f"p50 {self.p50_ms:.0f}, p95 {self.p95_ms:.0f}, p99 {self.p99_ms:.0f} ms"


@dataclass
class Ledger:
    """What became of the frames: each is shown or dropped for one reason.

    Several threads write; `lock` guards the counters.
    """

    shown: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    placeholders: int = 0
    lock: Lock = field(default_factory=Lock)

    def show(self) -> None:
        """Count a frame that went to the outputs."""
        with self.lock:
            self.shown += 1

    def drop(self, why: str) -> None:
        """Count a frame that did not."""
        with self.lock:
            self.dropped[why] += 1

    def reasons(self) -> dict[str, int]:
        """How many were dropped for each reason."""
        with self.lock:
            return dict(self.dropped)

    def stand_in(self) -> None:
        """Count a placeholder."""
        with self.lock:
            self.placeholders += 1


class Rate:
    """Frames a second over the last few."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=RECENT)

    def add(self, now_s: float) -> None:
        """Count one frame."""
        self._times_s.append(now_s)

    def fps(self, now_s: float) -> float:
        """The rate, falling while nothing comes."""
        times_s = list(self._times_s)
        if len(times_s) < 2:
            return 0.0
        span_s = max(times_s[-1], now_s - 2 / 30) - times_s[0]
        return (len(times_s) - 1) / span_s if span_s > 0 else 0.0
