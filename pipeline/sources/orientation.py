"""How a picture has to be turned and mirrored to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import Type

from seg_stream.pipeline.types import Image


@dataclass(frozen=True)
class Orientation:
    """Rows and columns exchanged if it `swaps`, then read backwards where a direction is -1."""

    swaps: bool = False
    down: int = 1
    across: int = 1

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged, which no turning undoes."""
        return (self.down * self.across < 0) != self.swaps

    @property
    def degrees(self) -> int:
        """By how much it is turned, counter-clockwise, after it was mirrored left to right."""
        if self.swaps:
            return 90 if (self.down < 0) != self.mirrored else 270
        return 180 if self.down < 0 else 0

    def __str__(self) -> str:
        turned = f"turned by {self.degrees} degrees" if self.degrees else ""
        return " and ".join(filter(None, ["mirrored" if self.mirrored else "", turned]))

    def apply(self, planes: tuple[Image, ...]) -> tuple[Image, ...]:
        """The planes as they are to be shown."""
        if self == Orientation():
            return planes
        return tuple(
            np.ascontiguousarray((plane.T if self.swaps else plane)[:: self.down, :: self.across])
            for plane in planes
        )


def orientation(picture: av.VideoFrame) -> Orientation:
    """What the display matrix of a decoded picture asks for, to the next right angle.

    It maps x to a·x + c·y and y to b·x + d·y (libavutil/display.h), y pointing down; its values
    are in 16.16 fixed point, row by row, (a, b, u), (c, d, v).
    """
    try:
        data = cast(Any, picture.side_data)[Type.DISPLAYMATRIX]  # its stub knows no matrix
    except KeyError:
        return Orientation()
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, -1 if d < 0 else 1, -1 if a < 0 else 1)
    return Orientation(True, -1 if b < 0 else 1, -1 if c < 0 else 1)
