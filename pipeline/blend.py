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
    alphas: dict[tuple[int, ...], FloatImage] = {alpha_hw.shape: alpha_hw}
    result = []
    for plane, room in zip(planes, background, strict=True):
        size = plane.shape[:2]
        if size not in alphas:  # chroma is smaller
            resized = cv2.resize(alpha_hw, size[::-1], interpolation=cv2.INTER_AREA)
            alphas[size] = np.asarray(resized, np.float32)
        result.append(_blend_plane(plane, alphas[size], room))
    return tuple(result)


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
