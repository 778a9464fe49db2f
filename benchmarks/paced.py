"""A camera made of a clip's pictures and a clock, and a sink that only stamps."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time, sleep

import av

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources.container import open_video, video_stream
from seg_stream.pipeline.sources.contract import Feed, Shot

PICTURES = 24


class PacedFeed(Feed):
    """Shows pictures forth and back at a steady rate; one counts from when it is due.

    They are decoded before it starts. A reader that comes late gets the newest, as from a camera.
    """

    def __init__(self, pictures: Sequence[av.VideoFrame], rate: int) -> None:
        super().__init__()
        self.name = self.mode = f"paced pictures, {rate} fps"
        self.width, self.height = pictures[0].width, pictures[0].height
        self.rate = Fraction(rate)
        self._pictures = [*pictures, *pictures[-2:0:-1]]
        self._start_s = perf_counter()
        self._next = 0
        self.due_s = set[float]()
        """When each picture that was shown was due."""

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`."""
        now_s = perf_counter()
        index = max(self._next, int((now_s - self._start_s) * self.rate))
        due_s = self._start_s + index / float(self.rate)
        if due_s - now_s > timeout_s:
            sleep(timeout_s)
            return None
        sleep(max(0.0, due_s - now_s))
        self._next = index + 1
        self.due_s.add(due_s)
        return Shot(self._pictures[index % len(self._pictures)], due_s)

    def close(self) -> None:
        """Nothing is held."""


def first_pictures(clip: Path) -> list[av.VideoFrame]:
    """Decode the first pictures of a clip.

    Raises:
        UserError: it is no video.
    """
    with open_video(clip) as container:
        return list(islice(container.decode(video_stream(container)), PICTURES))


class Stamps(Sink):
    """Notes when each frame was captured and written, if need be by another sink."""

    def __init__(self, inner: Sink | None = None) -> None:
        super().__init__()
        self._inner = inner
        self.times_s = list[tuple[float, float]]()
        """Capture and end of the writing."""
        self.cpu_s = list[float]()
        """The process's time on processors by then."""

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if self._inner:
            self._inner.write(frame)
        self.times_s.append((frame.captured_s, perf_counter()))
        self.cpu_s.append(process_time())

    def finish(self) -> None:
        """See `Sink.finish`."""
        if self._inner:
            self._inner.finish()

    def discard(self) -> None:
        """See `Sink.discard`."""
        if self._inner:
            self._inner.discard()
