"""Make a plane smaller by the mean of the area that each pixel covers, quickly."""

from __future__ import annotations

from math import log2
from typing import TypeVar

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage, Image

Plane = TypeVar("Plane", Image, FloatImage)


def shrink(plane: Plane, width: int, height: int) -> Plane:
    """Scale an 8-bit or float plane, (H, W) or (H, W, 3), to a size."""
    small: Plane = plane
    while small.shape[1] >= 2 * width and small.shape[0] >= 2 * height:
        # Exact halving is far quicker than one area resize by another factor.
        half = (small.shape[1] // 2, small.shape[0] // 2)
        small = np.asarray(cv2.resize(small, half, interpolation=cv2.INTER_AREA), plane.dtype)
    if small.shape[:2] == (height, width):
        return small
    shrinks = width < small.shape[1] and height < small.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(small, (width, height), interpolation=interpolation)
    return np.asarray(resized, plane.dtype)


def halvings(height: int, rows: int) -> int:
    """The power of two by which to divide a height to come close to a number of rows."""
    return 1 << max(0, round(log2(height / rows)))
