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
    """Lives in an event loop; only `offer` is called from another thread, always the same.

    A picture is encoded by who offers it, and only while somebody watches; for who comes later the
    last one is encoded in `executor`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        self._loop, self._executor = loop, executor
        self._newest: tuple[int, Frame] | None = None
        self._picture = Picture(0, b"")
        self._changed = asyncio.Event()
        self._late: asyncio.Task[None] | None = None
        self._ended = False
        self.watchers = 0

    def offer(self, frame: Frame) -> None:
        """Make a frame the newest."""
        number = self._newest[0] + 1 if self._newest else 1
        self._newest = number, frame
        if self.watchers:
            picture = Picture(number, jpeg(to_bgr(frame)))
            wake(self._loop, lambda: self._publish(picture))

    def _publish(self, picture: Picture) -> None:
        if picture.number > self._picture.number:
            self._picture = picture
            self._tell()

    async def _encode(self, number: int, frame: Frame) -> None:
        data = await self._loop.run_in_executor(self._executor, lambda: jpeg(to_bgr(frame)))
        self._publish(Picture(number, data))

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextmanager
    def watch(self) -> Iterator[int]:
        """Count a watcher; gives the number to ask `newer` with first."""
        self.watchers += 1
        try:
            number, frame = self._newest or (0, None)
            if frame and number > self._picture.number:
                self._late = self._loop.create_task(self._encode(number, frame))
            yield max(number - 1, 0)
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
