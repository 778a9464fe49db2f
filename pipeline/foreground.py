"""Estimate the colour of the person where a pixel mixes person and room.

Source: M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion): the mean
colours of person and room around a pixel, corrected so that they explain the pixel.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import FloatImage, Image

EDGE_ROWS = 180
"""The means are taken in a picture of about this many rows; they are smooth anyway."""

RADIUS = 7
"""Radius of the means there: 4% of the picture's height."""


class EdgeColour:
    """The mean colours of person and room around every pixel of a plane, at a small size."""

    def __init__(self, plane: Image, alpha_hw: FloatImage) -> None:
        height, width = alpha_hw.shape
        self._shrink = max(1, round(height / EDGE_ROWS))
        size = (-(-width // self._shrink), -(-height // self._shrink))
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        alpha = cv2.resize(alpha_hw, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        self._person = weighted_mean(small, alpha, RADIUS)
        self._room = weighted_mean(small, 1 - alpha, RADIUS)
        self._plane = plane

    def at(self, xs: npt.NDArray[Any], ys: npt.NDArray[Any], alpha: FloatImage) -> FloatImage:
        """The person's colour at N pixels of known alpha, float32 (N,) or (N, 3), 0..255."""
        small_xs, small_ys = xs // self._shrink, ys // self._shrink
        person, room = self._person[small_ys, small_xs], self._room[small_ys, small_xs]
        mixed = self._plane[ys, xs].astype(np.float32)
        person = person + alpha * (mixed - alpha * person - (1 - alpha) * room)
        return np.asarray(np.clip(person, 0, 255), np.float32)


def weighted_mean(picture: FloatImage, weight_hw: FloatImage, radius: int) -> FloatImage:
    """The mean of (H, W[, 3]) in a box around each pixel, counting pixels by their weight."""
    side = (2 * radius + 1, 2 * radius + 1)
    weight = weight_hw if picture.ndim == 2 else weight_hw[..., None]
    total = cv2.blur(weight_hw, side)
    total = total if picture.ndim == 2 else total[..., None]
    return np.asarray(cv2.blur(picture * weight, side) / (total + np.float32(1e-4)), np.float32)


def blur_fusion(image: FloatImage, alpha_hw: FloatImage, radii: tuple[int, ...]) -> FloatImage:
    """The person's colour at every pixel, for cutting people out of photographs.

    Args:
        image: (H, W, 3) float32 0..255, the mix of person and room.
        alpha_hw: (H, W) float32 in 0..1.
        radii: of one or more passes, coarse to fine.

    Returns:
        (H, W, 3) float32, 0..255.
    """
    alpha = alpha_hw[..., None]
    person = room = image
    for radius in radii:
        person = weighted_mean(person, alpha_hw, radius)
        room = weighted_mean(room, 1 - alpha_hw, radius)
        person = person + alpha * (image - alpha * person - (1 - alpha) * room)
    return np.clip(person, 0, 255)
