"""The hand-over between two threads: order, bounds, and both ways to end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.pipeline.channel import Channel, ChannelEnded

WAIT_S = 5.0
"""More than any wait in here should take."""

BRIEFLY_S = 0.05
"""Long enough to see that somebody waits."""


@contextmanager
def thread(work: Callable[[], Any]) -> Iterator[list[Any]]:
    """Run work beside the test; its result or error lands in the list; it must end."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            result.append(error)

    started = Thread(target=run)
    started.start()
    try:
        yield result
    finally:
        started.join(WAIT_S)
        assert not started.is_alive(), "still waiting"


def take_all(channel: Channel[int]) -> list[int]:
    taken = []
    while True:
        try:
            taken.append(channel.get())
        except ChannelEnded:
            return taken


@given(st.lists(st.integers()), st.integers(1, 4))
def test_everything_arrives_in_order(items: list[int], capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)
    with thread(lambda: take_all(channel)) as taken:
        for item in items:
            channel.put(item)
        channel.end()
    assert taken == [items]
    assert channel.dropped == 0


@given(st.integers(1, 5), st.integers(0, 30))
def test_newest_only_keeps_the_newest_and_counts_the_rest(capacity: int, count: int) -> None:
    channel: Channel[int] = Channel(capacity, newest_only=True)
    for item in range(count):
        channel.put(item)
    channel.end()
    kept = take_all(channel)
    assert kept == list(range(count))[-capacity:]
    assert channel.dropped == count - len(kept)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 3))
def test_newest_only_loses_nothing_unseen(puts: list[bool], capacity: int) -> None:
    """Whatever the order of puts and gets: taken + dropped + waiting is what was put."""
    channel: Channel[int] = Channel(capacity, newest_only=True)
    put, taken = 0, []
    for is_put in puts:
        waiting = put - channel.dropped - len(taken)
        assert 0 <= waiting <= capacity
        if is_put:
            channel.put(put)
            put += 1
        elif waiting:
            taken.append(channel.get())
    channel.end()
    taken += take_all(channel)
    assert taken == sorted(set(taken))
    assert len(taken) + channel.dropped == put


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_a_full_channel_makes_the_sender_wait(capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)
    for item in range(capacity):
        channel.put(item)
    with thread(lambda: channel.put(capacity)) as sent:
        waiter = Event()
        assert not waiter.wait(BRIEFLY_S)
        assert sent == [], "an item more than the capacity was let in"
        assert channel.get() == 0
    assert sent == [None]
    channel.end()
    assert take_all(channel) == list(range(1, capacity + 1))


def test_what_is_inside_can_be_taken_after_the_end() -> None:
    channel: Channel[int] = Channel(2)
    channel.put(1)
    channel.put(2)
    channel.end()
    assert take_all(channel) == [1, 2]
    with pytest.raises(ChannelEnded):
        channel.get()


def test_the_end_releases_a_waiting_receiver() -> None:
    channel: Channel[int] = Channel(1)
    with thread(channel.get) as got:
        Event().wait(BRIEFLY_S)
        channel.end()
    assert [type(result) for result in got] == [ChannelEnded]


def test_cancelling_releases_a_waiting_receiver() -> None:
    channel: Channel[int] = Channel(1)
    with thread(channel.get) as got:
        Event().wait(BRIEFLY_S)
        channel.cancel()
    assert [type(result) for result in got] == [ChannelEnded]


def test_cancelling_releases_a_waiting_sender() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    with thread(lambda: channel.put(2)) as sent:
        Event().wait(BRIEFLY_S)
        channel.cancel()
    assert [type(result) for result in sent] == [ChannelEnded]


@pytest.mark.parametrize("newest_only", [False, True])
def test_a_cancelled_channel_gives_and_takes_nothing(newest_only: bool) -> None:
    channel: Channel[int] = Channel(2, newest_only)
    channel.put(1)
    channel.cancel()
    with pytest.raises(ChannelEnded):
        channel.get()
    with pytest.raises(ChannelEnded):
        channel.put(2)
    assert channel.dropped == 0
