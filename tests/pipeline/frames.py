"""Frames made for the tests, without files."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import Frame, PixelFormat

FORMATS: list[PixelFormat] = ["bgr24", "yuv420p", "yuv422p", "yuv444p"]

formats = st.sampled_from(FORMATS)
sides = st.integers(1, 70)

UNTAGGED = Colour()


def padded(height: int, width: int, channels: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Random pixels whose rows lie apart in memory, as a decoder's do; nobody may write to it."""
    pitch = width * channels + 13
    plane = rng.integers(0, 256, (height, pitch), np.uint8)[:, : width * channels]
    plane = plane.reshape(height, width, channels) if channels > 1 else plane
    plane.flags.writeable = False
    return plane


def random_planes(
    format: PixelFormat, width: int, height: int, seed: int
) -> tuple[npt.NDArray[Any], ...]:
    rng = np.random.default_rng(seed)
    channels = 3 if format == "bgr24" else 1
    return tuple(padded(*size, channels, rng) for size in plane_sizes(format, width, height))


def frame_of(
    planes: tuple[npt.NDArray[Any], ...],
    format: PixelFormat = "bgr24",
    *,
    index: int = 0,
    time_s: Fraction | float | None = None,
    colour: Colour = UNTAGGED,
    still: bool = False,
) -> Frame:
    """A frame of 25 a second, or at a time."""
    time_s = Fraction(index, 25) if time_s is None else Fraction(time_s)
    pts = round(time_s * 1000)
    return Frame(index, planes, format, colour, pts, Fraction(1, 1000), float(time_s), still)


def bgr_frame(image: npt.NDArray[Any], **options: Any) -> Frame:
    return frame_of((image,), "bgr24", **options)


def plane_sizes(format: PixelFormat, width: int, height: int) -> list[tuple[int, int]]:
    """(height, width) of every plane; chroma of odd sizes is rounded up, as FFmpeg does."""
    if format == "bgr24":
        return [(height, width)]
    down, across = {"yuv420p": (1, 1), "yuv422p": (0, 1), "yuv444p": (0, 0)}[format]
    chroma = (-(-height >> down), -(-width >> across))
    return [(height, width), chroma, chroma]
