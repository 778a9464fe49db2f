"""What every source promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from fractions import Fraction

from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.frame import Frame


class Source(Closable):
    """Frames in the order of their time. A context manager; iterate it once, from one thread.

    `live` decides whether the pipeline waits or keeps the newest frame. `frames` is the expected
    number of frames, or None. `notes` are sentences for the user about what was not as expected;
    they are complete once the iteration has ended.
    """

    name: str
    live: bool = False
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    frames: int | None = None

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
