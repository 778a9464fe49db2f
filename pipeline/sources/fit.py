"""Make the pictures of a live source all alike: their format, and their size."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from seg_stream.pipeline.colour import FULL_RANGE, Colour
from seg_stream.pipeline.frame import PixelFormat, plane_sizes
from seg_stream.pipeline.picture import is_full_range, planes_of
from seg_stream.pipeline.types import Image

BT601, BT709, LIMITED = 5, 1, 1


def live_planes(
    picture: av.VideoFrame, width: int, height: int
) -> tuple[PixelFormat, Colour, tuple[Image, ...]]:
    """The planes of a picture as YUV 4:2:0, 4:4:4 for odd sizes, in its own matrix and range.

    A picture of another size is scaled to fill the wanted one and cut at the sides or at the top
    and bottom. RGB becomes BT.709.
    """
    format: PixelFormat = "yuv444p" if (width | height) % 2 else "yuv420p"
    size = (picture.width, picture.height)
    if picture.format.is_rgb:
        colour = Colour(BT709, LIMITED)
        picture = picture.reformat(
            format=format, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
    else:
        full = is_full_range(picture)
        # JPEG knows BT.601 alone, which is also what cameras mean that say nothing.
        said = picture.colorspace in (BT601, BT709, 6)
        colour = Colour(
            picture.colorspace if said else BT601,
            FULL_RANGE if full else LIMITED,
            picture.color_primaries,
            picture.color_trc,
        )
        if picture.format.name.replace("yuvj", "yuv") != format:
            level = ColorRange.JPEG if full else ColorRange.MPEG
            picture = picture.reformat(format=format, dst_color_range=level)
    planes = planes_of(picture)
    return (
        format,
        colour,
        planes if size == (width, height) else _fill(planes, format, width, height),
    )


def _fill(
    planes: tuple[Image, ...], format: PixelFormat, width: int, height: int
) -> tuple[Image, ...]:
    """Scale so that nothing stays empty; what sticks out is cut off, half at each side."""
    rows, columns = planes[0].shape
    share = min(1.0, rows * width / (columns * height)), min(1.0, columns * height / (rows * width))
    filled = []
    for plane, (high, wide) in zip(planes, plane_sizes(format, width, height), strict=True):
        keep_x, keep_y = (
            max(1, round(side * part)) for side, part in zip(plane.shape[::-1], share, strict=True)
        )
        x, y = (plane.shape[1] - keep_x) // 2, (plane.shape[0] - keep_y) // 2
        part = plane[y : y + keep_y, x : x + keep_x]
        shrinks = keep_x >= wide
        scaled = cv2.resize(
            part, (wide, high), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        filled.append(np.asarray(scaled, np.uint8))
    return tuple(filled)
