"""Make a plane smaller by the mean of what each pixel covers, quickly."""

from __future__ import annotations

from math import log2
from typing import TypeVar

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage, Image

Plane = TypeVar("Plane", Image, FloatImage)


def shrink(
    plane: Plane, width: int, height: int, kept: dict[tuple[int, int], Plane] | None = None
) -> Plane:
    """Scale an 8-bit or float plane, (H, W) or (H, W, 3), to a size.

    `kept` holds what was made of this plane before, by (width, height); what is made is added.
    """
    kept = {} if kept is None else kept
    small: Plane = plane
    while small.shape[1] >= 2 * width and small.shape[0] >= 2 * height:
        # Exact halving is far quicker than one area resize by another factor.
        small = _scaled(small, small.shape[1] // 2, small.shape[0] // 2, cv2.INTER_AREA, kept)
    if small.shape[:2] == (height, width):
        return small
    # Between four neighbours, which is quicker by far, unless some pixels would hardly count: those
    # midway between two that are taken weigh 2 less the factor, and nothing from a factor of 2 on.
    down, across = small.shape[0] / height, small.shape[1] / width
    leaves_out = min(down, across) >= 1 and max(down, across) > 1.5
    return _scaled(small, width, height, cv2.INTER_AREA if leaves_out else cv2.INTER_LINEAR, kept)


def _scaled(
    plane: Plane, width: int, height: int, interpolation: int, kept: dict[tuple[int, int], Plane]
) -> Plane:
    size = (width, height)
    if size not in kept:
        kept[size] = np.asarray(cv2.resize(plane, size, interpolation=interpolation), plane.dtype)
    return kept[size]


def halvings(height: int, rows: int) -> int:
    """The power of two by which to divide a height to come close to a number of rows."""
    return 1 << max(0, round(log2(height / rows)))
