"""The newest picture as a JPEG, for any number of watchers; nobody who is slow holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import cv2
import numpy as np

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.types import Image

WIDEST = 1280
"""Wider pictures are made smaller for the page."""

QUALITY = 80


class FeedEnded(Exception):  # noqa: N818  # like StopIteration, no error
    """No more pictures come."""


@dataclass(frozen=True)
class Picture:
    """A JPEG and its number, which grows."""

    number: int
    jpeg: bytes


def jpeg(image_bgr: Image, widest: int = WIDEST) -> bytes:
    """Encode a picture, uint8 (H, W, 3), made smaller if it is wider."""
    height, width = image_bgr.shape[:2]
    if width > widest:
        size = (widest, max(1, round(height * widest / width)))
        image_bgr = np.asarray(cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return np.asarray(data).tobytes()


class Feed:
    """Lives in an event loop; only `offer` may be called from other threads.

    At most one picture is being encoded, and only while somebody watches.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        self._loop, self._executor = loop, executor
        self._frame: Frame | None = None
        self._encoded: Frame | None = None
        self._picture = Picture(0, b"")
        self._changed = asyncio.Event()
        self._encoder: asyncio.Task[None] | None = None
        self._ended = False
        self.watchers = 0

    def offer(self, frame: Frame) -> None:
        """Make a frame the newest; returns at once."""
        self._frame = frame
        if self.watchers:
            wake(self._loop, self._encode_newest)

    def _encode_newest(self) -> None:
        idle = self._encoder is None or self._encoder.done()
        if idle and self.watchers and not self._ended and self._frame is not self._encoded:
            self._encoder = self._loop.create_task(self._encode())

    async def _encode(self) -> None:
        while self.watchers and not self._ended and (frame := self._frame) is not self._encoded:
            if frame is None:
                return
            data = await self._loop.run_in_executor(self._executor, lambda: jpeg(to_bgr(frame)))
            self._encoded, self._picture = frame, Picture(self._picture.number + 1, data)
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextmanager
    def watch(self) -> Iterator[int]:
        """Count a watcher; gives the number to ask `newer` with first."""
        self.watchers += 1
        try:
            self._encode_newest()
            fresh = self._frame is not None and self._encoded is self._frame
            yield self._picture.number - 1 if fresh else self._picture.number
        finally:
            self.watchers -= 1

    async def newer(self, number: int) -> Picture:
        """Wait for a picture after that number and return the newest one.

        Raises:
            FeedEnded: there is none and none will come.
        """
        while self._picture.number <= number:
            if self._ended:
                raise FeedEnded
            await self._changed.wait()
        return self._picture

    def end(self) -> None:
        """Release everybody who waits."""
        self._ended = True
        self._tell()


def wake(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Have a loop call something soon; a loop that has ended meanwhile needs no waking."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
