"""A clock that only moves when nobody has anything left to do: minutes pass in seconds.

Threads are real. Time stands still while one of them works, and jumps to the next deadline once
all of them wait, so delays are exactly those that were asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, RLock, Thread
from types import TracebackType

from seg_stream.pipeline.live.clock import Clock, Waiting

TICK_S = 1e-6
"""Nobody waits for less: rounding could make it no time at all, for ever."""


class SimulatedClock(Clock):
    """Made and used by the test's thread, which counts as one that works."""

    def __init__(self, start_s: float = 1000.0) -> None:
        self.lock = RLock()
        self._now_s = start_s
        self._working = 1
        self._waiters: list[_Waiter] = []
        self._ended: set[Thread] = set()
        self._somebody_ended = self.condition()

    def now_s(self) -> float:
        return self._now_s

    def condition(self) -> Waiting:
        return _SimulatedCondition(self)

    def start(self, call: Callable[[], None], name: str) -> Thread:
        def run() -> None:
            try:
                call()
            finally:
                with self.lock:
                    self._ended.add(thread)
                    self._somebody_ended.notify_all()
                    self._working -= 1
                    self._advance()

        thread = Thread(target=run, name=name)
        with self.lock:
            self._working += 1
        thread.start()
        return thread

    def join(self, thread: Thread) -> None:
        with self._somebody_ended:
            while thread not in self._ended:
                self._somebody_ended.wait()
        thread.join()

    def wait(self, waiter: _Waiter) -> bool:
        """Sleep until woken; with the lock held."""
        self._waiters.append(waiter)
        self._working -= 1
        self._advance()
        while not waiter.awake:
            waiter.alarm.wait()
        if waiter.stuck:
            raise RuntimeError("every thread waits for another one, for ever")
        return not waiter.late

    def wake(self, waiter: _Waiter) -> None:
        """Count a waiter as working from now on; with the lock held."""
        self._waiters.remove(waiter)
        waiter.awake = True
        self._working += 1
        waiter.alarm.notify()

    def _advance(self) -> None:
        if self._working or not self._waiters:
            return
        deadlines = [each.deadline_s for each in self._waiters if each.deadline_s is not None]
        if not deadlines:
            for waiter in list(self._waiters):
                waiter.stuck = True
                self.wake(waiter)
            return
        self._now_s = max(self._now_s, min(deadlines))
        for waiter in list(self._waiters):
            if waiter.deadline_s is not None and waiter.deadline_s <= self._now_s:
                waiter.late = True
                self.wake(waiter)


class _Waiter:
    def __init__(self, clock: SimulatedClock, deadline_s: float | None) -> None:
        self.alarm, self.deadline_s = Condition(clock.lock), deadline_s
        self.awake = self.late = self.stuck = False


class _SimulatedCondition:
    """All of a clock's conditions share one lock."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._waiters: list[_Waiter] = []

    def __enter__(self) -> bool:
        return self._clock.lock.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._clock.lock.__exit__(kind, error, trace)

    def wait(self, timeout: float | None = None) -> bool:
        deadline_s = None if timeout is None else self._clock.now_s() + max(TICK_S, timeout)
        waiter = _Waiter(self._clock, deadline_s)
        self._waiters.append(waiter)
        try:
            return self._clock.wait(waiter)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def notify_all(self) -> None:
        for waiter in self._waiters:
            if not waiter.awake:
                self._clock.wake(waiter)
        self._waiters.clear()
