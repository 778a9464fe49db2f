"""Room for one frame between two threads: the newest wins."""

from __future__ import annotations

from typing import Generic, TypeVar

from seg_stream.pipeline.channel import ChannelEnded
from seg_stream.pipeline.live.clock import Clock

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds at most one item, for one sender and one taker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = clock.condition()
        self._item: T | None = None
        self._ended = False

    @property
    def waiting(self) -> int:
        """How many items wait: 0 or 1."""
        return int(self._item is not None)

    def put(self, item: T) -> T | None:
        """Leave an item; returns the one that it pushed out, if nobody had taken it.

        Raises:
            ChannelEnded: nobody takes any more.
        """
        with self._changed:
            if self._ended:
                raise ChannelEnded
            old, self._item = self._item, item
            self._changed.notify_all()
            return old

    def hand_over(self, item: T) -> None:
        """Leave an item and wait until it is taken, so that none waits here.

        Raises:
            ChannelEnded: nobody took it.
        """
        with self._changed:
            if self._ended:
                raise ChannelEnded
            self._item = item
            self._changed.notify_all()
            while self._item is item and not self._is_over():
                self._changed.wait()
            if self._item is item:
                self._item = None
                raise ChannelEnded

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the item, waiting for one; None after `timeout_s` without.

        Raises:
            ChannelEnded: it was ended and nothing is inside.
        """
        end_s = None if timeout_s is None else self._clock.now_s() + timeout_s
        with self._changed:
            while self._item is None:
                if self._ended:
                    raise ChannelEnded
                left_s = None if end_s is None else end_s - self._clock.now_s()
                if left_s is not None and left_s <= 0:
                    return None
                self._changed.wait(left_s)
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Say that nothing more comes or is taken; what is inside can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._ended
