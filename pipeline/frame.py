"""The frame: what is handed from stage to stage, in the colour space it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.shrink import shrink
from seg_stream.pipeline.types import Image

PixelFormat = Literal["bgr24", "yuv420p", "yuv422p", "yuv444p"]

_LUMA = -1  # beside the planes' numbers

_CHROMA_SHIFT = {"yuv420p": (1, 1), "yuv422p": (0, 1), "yuv444p": (0, 0)}


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture with its time. Nobody changes a frame that was handed over.

    `planes` holds one (H, W, 3) uint8 array for `bgr24`, else Y, U and V as (h, w) uint8 each; rows
    may be padded (pitch), pixels in a row are contiguous. `pts` counts `time_base` seconds.
    `captured_s` is `time.perf_counter()` at capture. A `still` has nothing to do with the frame
    before it.
    """

    index: int
    planes: tuple[Image, ...]
    format: PixelFormat
    colour: Colour
    pts: int
    time_base: Fraction
    captured_s: float
    still: bool = False
    alpha_hw: Image | None = None
    """What the person covers, uint8 (H, W) 0..255, where an output asks for it; a frame with it is
    the person alone in straight (not premultiplied) colours, if the background is transparent."""
    _small: dict[int, dict[tuple[int, int], Image]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What `shrunk` made of each plane, and of the luma, since several stages want the same."""

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    def black(self) -> tuple[int, ...]:
        """The value of each plane where the picture is black."""
        if self.format == "bgr24":
            return (0,)
        return (self.levels()[0], 128, 128)

    def levels(self) -> tuple[int, int]:
        """The values of black and of white in the first plane."""
        limited = self.format != "bgr24" and not self.colour.full_range
        return (16, 235) if limited else (0, 255)

    def luma(self) -> Image:
        """The brightness, (H, W) uint8: a view of the Y plane, or computed from BGR."""
        if self.format == "bgr24":
            kept = self._small.setdefault(_LUMA, {})
            size = (self.width, self.height)
            if size not in kept:
                kept[size] = np.asarray(cv2.cvtColor(self.planes[0], cv2.COLOR_BGR2GRAY), np.uint8)
            return kept[size]
        return self.planes[0]

    def shrunk(self, width: int, height: int) -> list[Image]:
        """Every plane scaled to one size, by the mean of what each pixel covers."""
        return [
            shrink(plane, width, height, self._small.setdefault(index, {}))
            for index, plane in enumerate(self.planes)
        ]

    def shrunk_luma(self, width: int, height: int) -> Image:
        """The brightness at that size, (height, width) uint8."""
        index = _LUMA if self.format == "bgr24" else 0
        return shrink(self.luma(), width, height, self._small.setdefault(index, {}))


def plane_sizes(format: PixelFormat, width: int, height: int) -> list[tuple[int, int]]:
    """(height, width) of every plane; chroma of odd sizes is rounded up, as FFmpeg does."""
    if format == "bgr24":
        return [(height, width)]
    down, across = _CHROMA_SHIFT[format]
    chroma = (-(-height >> down), -(-width >> across))
    return [(height, width), chroma, chroma]
