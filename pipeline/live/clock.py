"""The time that a live session lives by; the tests put a simulated one in its place."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread
from time import perf_counter
from types import TracebackType
from typing import Protocol


class Waiting(Protocol):
    """What a session needs of `threading.Condition`."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Let go of the lock until notified or `timeout` seconds have passed."""

    def notify_all(self) -> None:
        """Wake everybody who waits."""


class Clock:
    """Real time: `time.perf_counter` and threads as they are.

    Everything in a session that waits, waits through this, so that a simulated clock knows when
    nobody has anything left to do but wait.
    """

    def now_s(self) -> float:
        """Seconds on the clock by which frames are stamped."""
        return perf_counter()

    def condition(self) -> Waiting:
        """A new condition with a lock of its own."""
        return Condition()

    def start(self, call: Callable[[], None], name: str) -> Thread:
        """Run a function in a new thread."""
        thread = Thread(target=call, name=name)
        thread.start()
        return thread

    def join(self, thread: Thread) -> None:
        """Wait until a thread has ended."""
        thread.join()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        condition = self.condition()
        end_s = self.now_s() + seconds
        with condition:
            while (left_s := end_s - self.now_s()) > 0:
                condition.wait(left_s)
