"""The hand-over that keeps the newest, on a clock that is exact."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulated import SimulatedClock

from seg_stream.pipeline.channel import ChannelEnded
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.latency import Delays, Rate
from seg_stream.pipeline.live.slot import Slot

CLOCKS = pytest.mark.parametrize("make_clock", [Clock, SimulatedClock])


@CLOCKS
def test_the_newest_item_wins_and_the_old_one_is_given_back(
    make_clock: Callable[[], Clock],
) -> None:
    slot = Slot[int](make_clock())
    assert (slot.put(1), slot.waiting) == (None, 1)
    assert (slot.put(2), slot.waiting) == (1, 1)
    assert (slot.get(), slot.waiting) == (2, 0)
    assert slot.get(0.01) is None


@CLOCKS
def test_what_was_left_before_the_end_can_be_taken(make_clock: Callable[[], Clock]) -> None:
    slot = Slot[int](make_clock())
    slot.put(1)
    slot.end()
    assert slot.get() == 1
    with pytest.raises(ChannelEnded):
        slot.get()
    with pytest.raises(ChannelEnded):
        slot.put(2)
    with pytest.raises(ChannelEnded):
        slot.hand_over(2)


def test_a_hand_over_waits_until_the_item_is_taken() -> None:
    clock = SimulatedClock()
    slot, events = Slot[int](clock), list[tuple[float, str]]()

    def note(what: str) -> None:
        events.append((round(clock.now_s() - 1000, 3), what))

    def give() -> None:
        slot.hand_over(1)
        note("given")

    thread = clock.start(give, "give")
    clock.sleep(5)
    note("take")
    assert slot.get() == 1
    clock.join(thread)
    assert events == [(5.0, "take"), (5.0, "given")]


def test_a_hand_over_that_nobody_takes_is_ended() -> None:
    clock = SimulatedClock()
    slot, raised = Slot[int](clock), list[bool]()

    def give() -> None:
        try:
            slot.hand_over(1)
        except ChannelEnded:
            raised.append(True)

    thread = clock.start(give, "give")
    clock.sleep(1)
    slot.end()
    clock.join(thread)
    assert (raised, slot.waiting) == ([True], 0)


def test_time_passes_exactly_and_at_once_on_a_simulated_clock() -> None:
    clock = SimulatedClock(0.0)
    seen: list[tuple[float, str]] = []

    def tick(name: str, every_s: float, times: int) -> None:
        for _ in range(times):
            clock.sleep(every_s)
            seen.append((round(clock.now_s(), 6), name))

    threads = [
        clock.start(lambda: tick("slow", 3600, 3), "slow"),
        clock.start(lambda: tick("quick", 1000, 5), "quick"),
    ]
    for thread in threads:
        clock.join(thread)
    expected = [(1000.0 * i, "quick") for i in range(1, 6)] + [
        (3600.0 * i, "slow") for i in range(1, 4)
    ]
    assert seen == sorted(expected)
    assert clock.now_s() == 3 * 3600


def test_delays_are_kept_in_constant_memory_and_exact_to_half_a_millisecond() -> None:
    delays = Delays()
    assert delays.figures().p95_ms == 0
    for i in range(10_000):
        delays.add((i % 100) / 1000)
    figures = delays.figures()
    assert delays.count == 10_000
    assert abs(figures.p50_ms - 50) <= 1
    assert abs(figures.p95_ms - 95) <= 1
    assert figures.worst_ms == 99
    delays.add(100.0)
    assert delays.figures().worst_ms == 100_000
    assert delays.quantile_ms(1.0) <= 2001


def test_the_rate_falls_while_nothing_comes() -> None:
    rate = Rate()
    assert rate.fps(0.0) == 0
    for i in range(100):
        rate.add(i / 30)
    assert rate.fps(99 / 30) == pytest.approx(30)
    assert rate.fps(99 / 30 + 10) < 6
