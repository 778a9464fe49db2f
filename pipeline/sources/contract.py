"""What every source promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame


class Source(Closable):
    """Frames in the order of their time. A context manager; iterate it once, from one thread.

    `frames` is the expected number of frames, or None. `notes` are sentences for the user about
    what was not as expected; they are complete once the iteration has ended.
    """

    name: str
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


@dataclass(frozen=True, slots=True)
class NoPicture:
    """What a live source says, once, instead of a frame: it has none until the next frame.

    `since_s` is when the last picture came, in seconds of the source's clock.
    """

    reason: str
    """One sentence for the user."""
    since_s: float


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as a device gave it, and when it was taken, in seconds of the feed's clock."""

    picture: av.VideoFrame
    captured_s: float


class FeedLostError(SegStreamError):
    """A camera, stream or screen is gone; it may come back when it is opened again."""


class Feed(Closable):
    """One connection to a camera, stream or screen, from its opening to its loss.

    `mode` is what was negotiated, as shown to the user; `notes` explain it where it is poor.
    """

    name: str
    mode: str
    width: int
    height: int
    rate: Fraction
    patience_s: float = 2.0
    """A feed that gave nothing for so long is closed and opened again."""
    damaged: int = 0
    """Pictures that came and could not be decoded."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @abstractmethod
    def read(self, timeout_s: float) -> Shot | None:
        """The newest picture that was not read yet; older ones that wait are dropped.

        Args:
            timeout_s: how long to wait for one, roughly; None is returned if none came.

        Raises:
            FeedLostError: there will be none any more.
        """
