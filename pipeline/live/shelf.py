"""The background in use; files are opened in a thread of their own, so that nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seg_stream.pipeline.backgrounds import BLUR, Background, open_background
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.live.clock import Clock

RETRY_S = 2.0
"""A background that failed is opened again after this."""


@dataclass(frozen=True)
class _Wish:
    what: str
    from_s: float
    like: Frame | None


class Shelf(Closable):
    """Gives the background that is wanted, or the last one while that is being opened.

    `get` and `failed` are called from one thread.

    Args:
        first: the background to start with, opened here.
        clock: in which it waits.
        say: tells the user that one cannot be opened.

    Raises:
        UserError: the first background cannot be opened.
    """

    def __init__(self, first: str, clock: Clock, say: Callable[[str], None]) -> None:
        self._clock, self._say = clock, say
        self._shown = self._wanted = first
        self._background: Background | None = open_background(first)
        self._changed = clock.condition()
        # What follows is read and written with `_changed` held.
        self._wish: _Wish | None = None
        self._ready: tuple[str, Background] | None = None
        self._closing = False
        self._thread = clock.start(self._run, "background")

    def get(self, what: str, frame: Frame) -> Background | None:
        """What to put behind a frame, at once; None if there is nothing just now."""
        if what == self._shown and self._background:
            return self._background
        if is_plain(what):
            self._show(what, open_background(what))
            return self._background
        with self._changed:
            ready, self._ready = self._ready, None
            if what != self._wanted:
                self._wish = _Wish(what, self._clock.now_s(), frame)
                self._changed.notify_all()
            self._wanted = what
        if ready:
            if ready[0] == what:
                self._show(*ready)
            else:
                ready[1].close()
        return self._background

    def failed(self) -> None:
        """Throw the background in use away; it is opened again a little later."""
        if self._background:
            self._background.close()
        self._background = None
        with self._changed:
            self._wanted = self._shown
            self._wish = _Wish(self._shown, self._clock.now_s() + RETRY_S, None)
            self._changed.notify_all()

    def _show(self, what: str, background: Background) -> None:
        if self._background:
            self._background.close()
        self._background, self._shown, self._wanted = background, what, what

    def _run(self) -> None:
        while (wish := self._next_wish()) is not None:
            try:
                opened = open_background(wish.what)
                if wish.like:  # scaled and converted here, not when it is first shown
                    size = (wish.like.height, wish.like.width)
                    opened.planes(wish.like, np.zeros(size, np.float32))
            except Exception as error:  # whatever is wrong with a file, the stream goes on
                text = str(error) if isinstance(error, SegStreamError) else repr(error)
                self._say(f"The background was not changed: {text}")
                continue
            with self._changed:
                old, self._ready = self._ready, (wish.what, opened)
            if old:
                old[1].close()

    def _next_wish(self) -> _Wish | None:
        """Wait for something to open; None when it is closing time."""
        with self._changed:
            while not self._closing:
                wish = self._wish
                wait_s = wish.from_s - self._clock.now_s() if wish else None
                if wish and wait_s is not None and wait_s <= 0:
                    self._wish = None
                    return wish
                self._changed.wait(wait_s)
            return None

    def close(self) -> None:
        """End the thread and free the backgrounds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._clock.join(self._thread)
        if self._ready:
            self._ready[1].close()
        if self._background:
            self._background.close()
        self._ready = self._background = None


def is_plain(what: str) -> bool:
    """Whether there is nothing to read: a colour, or the blurred room."""
    return what == BLUR or what.startswith("#")
