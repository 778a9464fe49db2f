"""Run one open source through one open effect into open sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

import cv2

from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.runner import CAPACITY, RunReport, Stage, run
from seg_stream.pipeline.sinks.contract import Sink
from seg_stream.pipeline.sources import Source

WAITING_BYTES = 50_000_000
"""Of frames between two stages: eight of 1080p, three of 4K."""

Progress = Callable[[RunReport, int | None], None]
"""Called after each frame with the figures so far and the expected number of frames."""


@dataclass
class Summary:
    """What a run did: the runner's figures, the engine that really ran, and notes for the user."""

    run: RunReport
    engine: str
    notes: list[str] = field(default_factory=list)
    stopped: bool = False
    """The run was asked to stop before the source ended."""
    resumed: int = 0
    """Frames of the output that an earlier, stopped run had done."""

    @property
    def frames(self) -> int:
        """How many the output holds."""
        return self.run.items + self.resumed


def stream(
    source: Source,
    effect: VirtualBackground,
    sinks: list[Sink],
    *,
    stop: Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Run an open source through an open effect into open sinks until it ends or `stop` is set."""
    stop = stop or Event()

    def write(frame: Frame) -> None:
        for sink in sinks:
            sink.write(frame)

    with one_opencv_thread():
        report = run(
            source,
            effect.stages,
            Stage("write", write),
            capacity=_capacity(source),
            stop=stop,
            progress=(lambda so_far: progress(so_far, source.frames)) if progress else None,
        )
    notes = [*source.notes, *effect.engine.notes]
    return Summary(report, effect.engine.name, notes, report.stopped)


def _capacity(source: Source) -> int:
    """How many frames wait between two stages: enough for what the encoder takes in bursts."""
    frame_bytes = 2 * source.width * source.height  # of 4:2:0, and a little
    return max(2, min(CAPACITY, WAITING_BYTES // max(1, frame_bytes)))


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV to the thread that calls it.

    The stages are threads already, and OpenCV's own wait busily for work, on cores that decoder
    and encoder need.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
