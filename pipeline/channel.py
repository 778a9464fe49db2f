"""A bounded hand-over between two threads that either of them can end."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelEnded(Exception):  # noqa: N818  # like StopIteration, no error
    """There is nothing more to get, or nobody left to put for."""


class Channel(Generic[T]):
    """A queue of at most `capacity` items.

    With `newest_only` a full channel drops its oldest item instead of making the sender wait; the
    number of dropped items is in `dropped`.
    """

    def __init__(self, capacity: int, newest_only: bool = False) -> None:
        self.dropped = 0
        self._capacity, self._newest_only = capacity, newest_only
        self._items: deque[T] = deque()
        self._ended = self._cancelled = False
        self._changed = Condition()

    def put(self, item: T) -> None:
        """Hand over an item, waiting for room.

        Raises:
            ChannelEnded: the channel was cancelled.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._cancelled:
                if self._newest_only:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if self._cancelled:
                raise ChannelEnded
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Take the oldest item, waiting for one.

        Raises:
            ChannelEnded: it was ended and is empty, or was cancelled.
        """
        with self._changed:
            while not self._items and not self._ended and not self._cancelled:
                self._changed.wait()
            if self._cancelled or not self._items:
                raise ChannelEnded
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Say that no more items come; what is inside can still be taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Throw away what is inside and release everybody who waits."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
