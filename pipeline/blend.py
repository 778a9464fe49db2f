"""Put the person on the new background, plane by plane, in the frame's own colour space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from seg_stream.pipeline.foreground import EdgeColour
from seg_stream.pipeline.types import FloatImage, Image

SURE = 1 / 512
"""Alpha this close to 0 or 1 is taken as 0 or 1: it would change a pixel by half a step."""

EDGE_SHARE = 0.15
"""Where more of the pixels are mixed there is no edge to speak of: they are plainly blended."""


def blend(
    planes: Sequence[Image], alpha_hw: FloatImage, background: Sequence[Image]
) -> tuple[Image, ...]:
    """Composite `alpha * person + (1 - alpha) * background`.

    The person's colour in mixed pixels is estimated, so that the old room does not shine through
    hair. Where alpha is 1 the frame's pixels come out unchanged, where it is 0 the background's.

    Args:
        planes: of the frame, uint8, (H, W, 3) or Y, U, V.
        alpha_hw: float32 (H, W) in 0..1.
        background: planes of the same sizes.

    Returns:
        New planes.
    """
    alphas = _alphas(planes, alpha_hw)
    return tuple(
        _blend_plane(plane, alpha, room)
        for plane, alpha, room in zip(planes, alphas, background, strict=True)
    )


def cut_out(
    planes: Sequence[Image], alpha_hw: FloatImage, empty: Sequence[int]
) -> tuple[Image, ...]:
    """The person's own colour, not multiplied by alpha, for an output that carries alpha itself.

    Args:
        planes: of the frame, uint8, (H, W, 3) or Y, U, V.
        alpha_hw: float32 (H, W) in 0..1.
        empty: the value for each plane where nobody is.

    Returns:
        New planes.
    """
    alphas = _alphas(planes, alpha_hw)
    return tuple(
        _cut_out_plane(plane, alpha, value)
        for plane, alpha, value in zip(planes, alphas, empty, strict=True)
    )


def _alphas(planes: Sequence[Image], alpha_hw: FloatImage) -> list[FloatImage]:
    """Alpha at each plane's size; chroma is smaller."""
    sizes: dict[tuple[int, ...], FloatImage] = {alpha_hw.shape: alpha_hw}
    for plane in planes:
        size = plane.shape[:2]
        if size not in sizes:
            resized = cv2.resize(alpha_hw, size[::-1], interpolation=cv2.INTER_AREA)
            sizes[size] = np.asarray(resized, np.float32)
    return [sizes[plane.shape[:2]] for plane in planes]


def _cut_out_plane(plane: Image, alpha_hw: FloatImage, empty: int) -> Image:
    someone = np.asarray(cv2.inRange(alpha_hw, SURE, 2.0), np.uint8)
    out = np.asarray(cv2.copyTo(plane, someone, np.full(plane.shape, empty, np.uint8)), np.uint8)
    mixed = cv2.inRange(alpha_hw, SURE, 1 - SURE)
    if 0 < cv2.countNonZero(mixed) <= EDGE_SHARE * mixed.size:
        points: Any = cv2.findNonZero(mixed)
        xs, ys = points.reshape(-1, 2).T
        alpha = alpha_hw[ys, xs] if plane.ndim == 2 else alpha_hw[ys, xs, None]
        out[ys, xs] = np.rint(EdgeColour(plane, alpha_hw).at(xs, ys, alpha)).astype(np.uint8)
    return out


def _blend_plane(plane: Image, alpha_hw: FloatImage, room: Image) -> Image:
    mixed = cv2.inRange(alpha_hw, SURE, 1 - SURE)
    count = cv2.countNonZero(mixed)
    if count > EDGE_SHARE * mixed.size:
        blended = cv2.blendLinear(plane, room, alpha_hw, 1 - alpha_hw)
        return np.asarray(blended, np.uint8)
    person = np.asarray(cv2.inRange(alpha_hw, 0.5, 2.0), np.uint8)
    out = np.asarray(cv2.copyTo(plane, person, room.copy()), np.uint8)
    if count:
        points: Any = cv2.findNonZero(mixed)
        xs, ys = points.reshape(-1, 2).T
        alpha = alpha_hw[ys, xs] if plane.ndim == 2 else alpha_hw[ys, xs, None]
        person_colour = EdgeColour(plane, alpha_hw).at(xs, ys, alpha)
        colour = person_colour * alpha + room[ys, xs] * (1 - alpha)
        out[ys, xs] = np.rint(colour).astype(np.uint8)
    return out
