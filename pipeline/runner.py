"""Run stages in threads of their own: hand-over, errors and clocks, but nothing about pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any

from seg_stream.pipeline.channel import Channel, ChannelEnded
from seg_stream.pipeline.errors import SegStreamError

CAPACITY = 8
"""Items that may wait between two stages, if nobody says otherwise."""

NICENESS = 5
"""How much nicer the stages' threads are than the codecs', which wait for each other and so are the
longest chain."""


class StageError(SegStreamError):
    """A stage failed; the error it raised is the cause."""


@dataclass(frozen=True)
class Stage:
    """A named function from one item to the next; it is only ever called from one thread."""

    name: str
    call: Callable[[Any], Any]


@dataclass
class RunReport:
    """What a run did: items that came out, and each stage's busy seconds.

    `stopped`: it was asked to stop before the source ended.
    """

    items: int = 0
    stopped: bool = False
    wall_s: float = 0.0
    busy_s: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Items that came out a second."""
        return self.items / self.wall_s if self.wall_s else 0.0

    def mean_ms(self, stage: str) -> float:
        """Mean time a stage was busy with an item."""
        return 1000 * self.busy_s[stage] / max(self.calls[stage], 1)

    def add(self, other: RunReport) -> None:
        """Count another run, made after this one, with this one."""
        self.items += other.items
        self.stopped = other.stopped
        self.wall_s += other.wall_s
        for name, busy_s in other.busy_s.items():
            self.busy_s[name] = self.busy_s.get(name, 0.0) + busy_s
            self.calls[name] = self.calls.get(name, 0) + other.calls[name]

    def count(self, stage: str, busy_s: float) -> None:
        """Add one call of a stage; each stage is counted by its own thread alone."""
        self.busy_s[stage] += busy_s
        self.calls[stage] += 1


def run(
    source: Iterable[Any],
    stages: Sequence[Stage],
    sink: Stage,
    *,
    capacity: int = CAPACITY,
    stop: Event | None = None,
    progress: Callable[[RunReport], None] | None = None,
) -> RunReport:
    """Pull items from `source` through `stages`, each in its own thread, into `sink`.

    The sink runs in the caller's thread; between two stages few items wait. The stages' threads
    give way to the sink's, to the source's and to those of the codecs.

    Args:
        source: iterated in a thread named `read`; a generator is closed there at the end.
        stages: called in order, each item's result being the next stage's item.
        sink: called with the last stage's results; returns nothing.
        capacity: how many items may wait between two stages.
        stop: once set, the source is not asked again and what is on its way is finished.
        progress: called after each item, in the caller's thread, with the report so far.

    Raises:
        SegStreamError: of our own, raised by any stage, as it is.
        StageError: any other error that a stage raised, with it as the cause.
    """
    names = ["read", *(stage.name for stage in stages), sink.name]
    report = RunReport(busy_s=dict.fromkeys(names, 0.0), calls=dict.fromkeys(names, 0))
    channels: list[Channel[Any]] = [Channel(capacity) for _ in range(len(stages) + 1)]
    failure = _FirstError()

    def cancel(name: str, error: BaseException) -> None:
        failure.set(name, error)
        for channel in channels:
            channel.cancel()

    def read() -> None:
        try:
            items = iter(source)
            with closing(items) if isinstance(items, Generator) else nullcontext():
                while not (stop and stop.is_set()):
                    start = perf_counter()
                    try:
                        item = next(items)
                    except StopIteration:
                        break
                    report.count("read", perf_counter() - start)
                    channels[0].put(item)
                else:
                    report.stopped = True
            channels[0].end()
        except ChannelEnded:
            pass
        except BaseException as error:  # handed to the caller below
            cancel("read", error)

    def work(stage: Stage, inbox: Channel[Any], outbox: Channel[Any]) -> None:
        _give_way()
        try:
            for item in _items(inbox):
                start = perf_counter()
                result = stage.call(item)
                report.count(stage.name, perf_counter() - start)
                outbox.put(result)
            outbox.end()
        except ChannelEnded:
            pass
        except BaseException as error:  # handed to the caller below
            cancel(stage.name, error)

    threads = [Thread(target=read, name="read")]
    for stage, inbox, outbox in zip(stages, channels, channels[1:], strict=False):
        threads.append(Thread(target=work, name=stage.name, args=(stage, inbox, outbox)))

    start = perf_counter()
    try:
        for thread in threads:
            thread.start()
        for item in _items(channels[-1]):
            began = perf_counter()
            sink.call(item)
            now = perf_counter()
            report.count(sink.name, now - began)
            report.items += 1
            report.wall_s = now - start
            if progress:
                progress(report)
    except BaseException as error:
        cancel(sink.name, error)
    finally:
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    report.wall_s = perf_counter() - start
    failure.raise_if_set()
    return report


def _give_way() -> None:
    """Make this thread nicer; on Linux, and only there, each thread has a niceness of its own."""
    if sys.platform == "linux":
        with suppress(OSError):  # it is a wish
            os.nice(NICENESS)


def _items(channel: Channel[Any]) -> Iterable[Any]:
    while True:
        try:
            item = channel.get()
        except ChannelEnded:
            return
        yield item


class _FirstError:
    """Keeps the error that came first; those that follow from it are not the user's news."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._name = ""
        self._error: BaseException | None = None

    def set(self, name: str, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._name, self._error = name, error

    def raise_if_set(self) -> None:
        error = self._error
        if error is None:
            return
        if isinstance(error, SegStreamError) or not isinstance(error, Exception):
            raise error
        text = " ".join(str(error).split()) or "no message"
        raise StageError(
            f"The {self._name} stage failed: {type(error).__name__}: {text}."
        ) from error
