"""Let the background's light fall around the person's edge, so that both seem to be in one place.

As in film compositing: the background, far out of focus, shines over the inside of the edge
(R. Brinkmann, "The Art and Science of Digital Compositing", 2nd edition 2008, "light wrap").
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.shrink import shrink
from seg_stream.pipeline.types import FloatImage, Image

REACH = 0.02
"""Radius of the boxes that spread the surroundings into the person, in heights of the picture."""

SPREAD = 0.06
"""Radius of those that spread the background's light."""

Box = tuple[slice, slice]
"""Rows and columns."""


def light_wrap(
    frame: Frame,
    planes: Sequence[Image],
    alpha_hw: FloatImage,
    small_background: Sequence[Image],
    strength: float,
) -> tuple[Image, ...]:
    """Lighten the inside of the person's edge; the background stays as it is.

    Args:
        frame: the kind of the planes.
        planes: the composite, uint8.
        alpha_hw: float32 (H, W), 0..1.
        small_background: the background's planes, all scaled to one small size.
        strength: 0..1; at 1 a white background takes about half of the edge.

    Returns:
        New planes.
    """
    height, width = small_background[0].shape[:2]
    small_hw = shrink(alpha_hw, width, height)
    around_hw = np.float32(strength) * _spread(1 - small_hw, REACH)
    box = _box(around_hw * small_hw > 1 / 255, frame)
    results = [plane.copy() for plane in planes]
    if not results[0][box].size:
        return tuple(results)

    low, high = frame.levels()
    glow = np.clip((_spread(small_background[0], SPREAD) - low) / np.float32(high - low), 0, 1)
    of_all = around_hw * glow if glow.ndim == 2 else around_hw[..., None] * glow
    share = _enlarged(of_all * 255, frame.luma().shape)[box]
    alpha = np.asarray(cv2.convertScaleAbs(alpha_hw[box], alpha=255), np.uint8)
    alpha = alpha if glow.ndim == 2 else np.asarray(cv2.merge([alpha] * 3), np.uint8)
    share = np.asarray(cv2.multiply(share, alpha, scale=1 / 255), np.uint8)

    first = results[0][box]
    to_white = cv2.subtract(np.full_like(first, high), first)
    first[:] = cv2.add(first, cv2.multiply(to_white, share, scale=1 / 255))
    for plane, behind in zip(results[1:], small_background[1:], strict=True):
        part = _in_plane(box, plane, frame)
        weight = cv2.resize(share, plane[part].shape[::-1], interpolation=cv2.INTER_AREA)
        way = cv2.subtract(
            _enlarged(_spread(behind, SPREAD), plane.shape)[part], plane[part], dtype=cv2.CV_16S
        )
        step = cv2.multiply(way, weight, scale=1 / 255, dtype=cv2.CV_16S)
        plane[part] = cv2.add(plane[part], step, dtype=cv2.CV_8U)
    return tuple(results)


def _spread(plane: FloatImage | Image, radius: float) -> FloatImage:
    side = 2 * max(1, round(radius * plane.shape[0])) + 1
    once = cv2.blur(plane.astype(np.float32), (side, side))
    return np.asarray(cv2.blur(once, (side, side)), np.float32)


def _enlarged(small: FloatImage, shape: tuple[int, ...]) -> Image:
    return np.asarray(cv2.resize(cv2.convertScaleAbs(small), (shape[1], shape[0])), np.uint8)


def _box(cells: np.typing.NDArray[np.bool_], frame: Frame) -> Box:
    """The part of the frame that holds these cells of a small picture; it begins at even pixels."""
    x, y, width, height = cv2.boundingRect(cells.astype(np.uint8))
    if not width:
        return slice(0, 0), slice(0, 0)
    down, across = frame.height / cells.shape[0], frame.width / cells.shape[1]
    top, left = int((y - 1) * down), int((x - 1) * across)
    bottom, right = int((y + height + 1) * down) + 1, int((x + width + 1) * across) + 1
    return (
        slice(max(0, top) // 2 * 2, min(bottom, frame.height)),
        slice(max(0, left) // 2 * 2, min(right, frame.width)),
    )


def _in_plane(box: Box, plane: Image, frame: Frame) -> Box:
    """The same part of a plane that may have half of the rows or columns."""
    down = -(-frame.height // plane.shape[0])
    across = -(-frame.width // plane.shape[1])
    rows, columns = box
    return (
        slice(rows.start // down, -(-rows.stop // down)),
        slice(columns.start // across, -(-columns.stop // across)),
    )
