"""Threads keep the priority that they had."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

THREADS = Path("/proc/self/task")


@contextmanager
def usual_priority() -> Iterator[None]:
    """Undo what happens within to the priority of this thread, and of those that begin meanwhile.

    SVT-AV1, as root, gives itself and whoever opens it a real-time priority, and nothing else on
    the machine gets to run. Only Linux tells which threads there are.
    """
    if sys.platform != "linux":
        yield
        return
    policy, given = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _threads()
    try:
        yield
    finally:
        now = _threads()
        new = set() if before is None or now is None else now - before
        for thread in {0} | new:
            with suppress(OSError):  # it has ended
                os.sched_setscheduler(thread, policy, given)


def _threads() -> set[int] | None:
    """Those of this process; None if they cannot be told, as without /proc."""
    try:
        return {int(entry.name) for entry in THREADS.iterdir()}
    except OSError:
        return None
