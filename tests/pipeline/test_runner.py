"""Stages in threads: order, live dropping, and how a run ends when something fails."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.runner import CAPACITY, RunReport, Stage, StageError, run

WITHIN_S = 1.0
"""An error has to reach the caller in this time."""


pytestmark = pytest.mark.usefixtures("no_thread_outlives_its_run")


class BrokenError(Exception):
    """The failure that the tests inject."""


def collect(into: list[Any]) -> Stage:
    return Stage("write", into.append)


def passing(name: str) -> Stage:
    return Stage(name, lambda item: item)


def slow(name: str, seconds: float) -> Stage:
    def work(item: Any) -> Any:
        time.sleep(seconds)
        return item

    return Stage(name, work)


def failing(name: str, at: int, error: BaseException) -> Stage:
    """Count the items and raise at one of them."""
    seen = iter(range(10**9))

    def work(item: Any) -> Any:
        if next(seen) == at:
            raise error
        return item

    return Stage(name, work)


def endless(closed: list[bool] | None = None) -> Iterator[int]:
    count = 0
    try:
        while True:
            yield count
            count += 1
    finally:
        if closed is not None:
            closed.append(True)


@given(count=st.integers(0, 40), stages=st.integers(0, 5))
def test_every_item_passes_every_stage_in_order(count: int, stages: int) -> None:
    out: list[tuple[int, ...]] = []
    chain = [Stage(f"stage {i}", lambda item, i=i: (*item, i)) for i in range(stages)]
    report = run([(n,) for n in range(count)], chain, collect(out))
    assert out == [(n, *range(stages)) for n in range(count)]
    assert report.items == count
    assert list(report.busy_s) == ["read", *(s.name for s in chain), "write"]


@settings(max_examples=15)
@given(pauses_ms=st.lists(st.integers(0, 3), min_size=1, max_size=4), sink_ms=st.integers(0, 3))
def test_stages_of_any_speed_lose_nothing_of_a_file(pauses_ms: list[int], sink_ms: int) -> None:
    out: list[int] = []

    def write(item: int) -> None:
        time.sleep(sink_ms / 1000)
        out.append(item)

    chain = [slow(f"stage {i}", pause / 1000) for i, pause in enumerate(pauses_ms)]
    report = run(range(25), chain, Stage("write", write))
    assert out == list(range(25))
    assert report.items == 25


def test_the_stages_work_at_the_same_time() -> None:
    """A stage is one thread: the whole takes as long as its slowest stage, not as their sum."""
    chain = [slow(f"stage {i}", 0.02) for i in range(3)]
    report = run(range(20), chain, slow("write", 0.02))
    assert report.wall_s < 0.75 * sum(report.busy_s.values())


def test_each_stage_is_called_from_one_thread_and_the_sink_from_the_callers() -> None:
    threads: dict[str, set[int]] = {name: set() for name in ("a", "b", "write")}

    def noting(name: str) -> Stage:
        def work(item: int) -> int:
            threads[name].add(threading.get_ident())
            return item

        return Stage(name, work)

    run(range(10), [noting("a"), noting("b")], noting("write"))
    assert [len(idents) for idents in threads.values()] == [1, 1, 1]
    assert threads["write"] == {threading.get_ident()}
    assert len(set.union(*threads.values())) == 3


@pytest.mark.parametrize("stages", [0, 1, 3])
def test_a_slow_sink_holds_the_source_back(stages: int) -> None:
    """Memory is bounded: between source and sink are the channels and one item in each hand."""
    produced, written = 0, 0
    ahead: list[int] = []

    def source() -> Iterator[int]:
        nonlocal produced
        for item in range(60):
            produced += 1
            yield item

    def write(_: int) -> None:
        nonlocal written
        time.sleep(0.002)
        ahead.append(produced - written)
        written += 1

    run(source(), [passing(f"stage {i}") for i in range(stages)], Stage("write", write))
    assert max(ahead) <= (stages + 1) * CAPACITY + (stages + 2)


@pytest.mark.parametrize("where", ["read", "first", "middle", "last", "write"])
@pytest.mark.parametrize("neighbours_ms", [0, 100])
def test_a_failure_anywhere_ends_the_run_in_time(where: str, neighbours_ms: int) -> None:
    """Endless source, others slow or waiting for room: the error comes out, within the second."""
    broken = BrokenError("at the third")
    closed: list[bool] = []
    failed_s: list[float] = []

    def fail(item: Any) -> Any:
        if item >= 3:
            failed_s.append(time.perf_counter())
            raise broken
        return item

    def source() -> Iterator[int]:
        for item in endless(closed):
            time.sleep(0.002)
            yield fail(item) if where == "read" else item

    names = ["first", "middle", "last", "write"]
    chain = [
        Stage(name, fail) if name == where else slow(name, neighbours_ms / 1000) for name in names
    ]
    with pytest.raises(StageError) as caught:
        run(source(), chain[:-1], chain[-1])
    assert time.perf_counter() - failed_s[0] < WITHIN_S
    assert caught.value.__cause__ is broken
    assert str(caught.value) == f"The {where} stage failed: BrokenError: at the third."
    assert len(failed_s) == 1, "the stage was called again after its failure"
    assert closed == [True]


@settings(max_examples=40)
@given(data=st.data(), count=st.integers(1, 30), stages=st.integers(0, 4))
def test_a_failure_at_any_item_of_any_stage_reaches_the_caller(
    data: st.DataObject, count: int, stages: int
) -> None:
    where = data.draw(st.integers(0, stages), label="failing stage")
    at = data.draw(st.integers(0, count - 1), label="failing item")
    out: list[int] = []
    broken = BrokenError("no\n more")
    chain: list[Stage] = [passing(f"stage {i}") for i in range(stages)] + [collect(out)]
    inner = chain[where].call
    bad = failing(chain[where].name, at, broken)
    chain[where] = Stage(bad.name, lambda item: inner(bad.call(item)))
    with pytest.raises(StageError, match=r"failed: BrokenError: no more\.$") as caught:
        run(range(count), chain[:-1], chain[-1])
    assert str(caught.value).startswith(f"The {bad.name} stage ")
    assert caught.value.__cause__ is broken
    assert len(out) <= at


def test_the_first_error_wins_over_a_later_one_downstream() -> None:
    first, second = BrokenError("first"), BrokenError("second")

    def source() -> Iterator[int]:
        yield 0
        raise first

    def write(_: int) -> None:
        while any(thread.name == "read" for thread in threading.enumerate()):
            time.sleep(0.001)
        raise second

    with pytest.raises(StageError) as caught:
        run(source(), [passing("a")], Stage("write", write))
    assert caught.value.__cause__ is first


def test_the_first_error_wins_over_a_later_one_upstream() -> None:
    first, second = BrokenError("first"), BrokenError("second")
    fails = Event()

    def late(item: int) -> int:
        if item == 1:
            fails.wait(WITHIN_S)
            time.sleep(0.05)
            raise second
        return item

    def write(_: int) -> None:
        fails.set()
        raise first

    with pytest.raises(StageError) as caught:
        run(range(5), [Stage("late", late)], Stage("write", write))
    assert caught.value.__cause__ is first


@pytest.mark.parametrize("error", [UserError("Choose another."), SegStreamError("The disc broke.")])
@pytest.mark.parametrize("where", range(4))
def test_our_own_errors_pass_as_they_are(error: SegStreamError, where: int) -> None:
    def source() -> Iterable[int]:
        yield 1
        if where == 0:
            raise error

    chain = [passing("a"), passing("b"), passing("write")]
    if where:
        chain[where - 1] = failing(chain[where - 1].name, 0, error)
    with pytest.raises(SegStreamError) as caught:
        run(source(), chain[:-1], chain[-1])
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("where", ["a", "write"])
def test_an_interrupt_is_no_stage_error(error: BaseException, where: str) -> None:
    closed: list[bool] = []
    chain = [failing(name, 4, error) if name == where else passing(name) for name in ("a", "write")]
    with pytest.raises(type(error)) as caught:
        run(endless(closed), chain[:-1], chain[-1])
    assert caught.value is error
    assert closed == [True]


def test_an_error_without_text_says_so() -> None:
    with pytest.raises(StageError, match=r"^The a stage failed: BrokenError: no message\.$"):
        run(range(3), [failing("a", 0, BrokenError())], collect([]))


def test_a_failing_progress_ends_the_run() -> None:
    def progress(_: RunReport) -> None:
        raise BrokenError("no bar")

    with pytest.raises(StageError, match="no bar"):
        run(endless(), [passing("a")], collect([]), progress=progress)


def test_stopping_finishes_what_was_read() -> None:
    stop, closed = Event(), list[bool]()
    produced: list[int] = []
    out: list[int] = []

    def source() -> Iterator[int]:
        for item in endless(closed):
            produced.append(item)
            yield item

    def write(item: int) -> None:
        out.append(item)
        if len(out) == 5:
            stop.set()

    chain = [slow("a", 0.002), passing("b")]
    report = run(source(), chain, Stage("write", write), stop=stop)
    assert report.stopped
    assert report.items == len(out) >= 5
    assert closed == [True]
    assert out == produced


def test_a_run_that_is_stopped_before_it_begins_reads_nothing() -> None:
    stop, out = Event(), list[int]()
    stop.set()
    report = run(endless(), [passing("a")], collect(out), stop=stop)
    assert (report.items, report.stopped, out) == (0, True, [])


def test_the_sources_generator_is_closed_in_every_case() -> None:
    """A source that holds a file or a device lets go of it when the run ends, not some time."""
    cases: list[Callable[[Iterator[int]], Any]] = [
        lambda items: run(items, [passing("a")], failing("write", 2, BrokenError())),
        lambda items: run(items, [failing("a", 2, BrokenError())], collect([])),
        lambda items: run(items, [], failing("write", 0, UserError("No."))),
    ]
    for case in cases:
        closed: list[bool] = []
        held = endless(closed)  # our own reference: nobody but the runner will close it
        with pytest.raises(SegStreamError):
            case(held)
        assert closed == [True]


def test_a_run_that_ended_by_itself_was_not_stopped() -> None:
    """Even where the wish to stop came while its last item was on its way."""
    assert not run(range(3), [passing("a")], collect([]), stop=Event()).stopped
    stop, ended = Event(), Event()

    def source() -> Iterator[int]:
        yield 1
        ended.set()

    def write(_: int) -> None:
        ended.wait(WITHIN_S)
        time.sleep(0.05)
        stop.set()

    assert not run(source(), [], Stage("write", write), stop=stop).stopped


def test_progress_tells_the_figures_so_far() -> None:
    seen: list[tuple[int, float]] = []
    report = run(
        range(6),
        [slow("a", 0.002)],
        collect([]),
        progress=lambda so_far: seen.append((so_far.items, so_far.wall_s)),
    )
    assert [items for items, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert [wall for _, wall in seen] == sorted(wall for _, wall in seen)
    assert report.fps == pytest.approx(6 / report.wall_s)
    assert report.mean_ms("a") >= 2


def test_an_empty_run_has_figures_too() -> None:
    report = run([], [passing("a")], collect([]))
    assert (report.items, report.mean_ms("a")) == (0, 0)
    assert RunReport().fps == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no niceness of its own")
def test_stages_give_way_to_source_and_sink() -> None:
    """The codecs' threads are begun by those, and are the longest chain."""
    niceness: dict[str, int] = {}

    def note(name: str, item: int) -> int:
        niceness[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        return item

    source = (note("read", item) for item in range(3))
    run(source, [Stage("work", lambda item: note("work", item))], collect([]))
    note("after", 0)
    assert niceness["work"] > niceness["read"] == niceness["after"]
