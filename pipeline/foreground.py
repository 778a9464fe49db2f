"""Estimate the colour of the person where a pixel mixes person and room.

Source: M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion): the mean
colours of person and room around a pixel, corrected so that they explain the pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import FloatImage, Image

Cells = tuple[npt.NDArray[np.intp], ...]
"""Rows and columns of some pixels of a small picture."""

BOX = (9, 9)
"""The means are taken in such a box of a small picture of about 100 rows."""


class EdgeColour:
    """The person's own colour in mixed pixels.

    Args:
        small_hw: alpha at a small size, at which the means are taken.
    """

    def __init__(self, small_hw: FloatImage) -> None:
        self._person_hw, self._room_hw = small_hw, 1 - small_hw
        self._share_hw = cv2.blur(small_hw, BOX)

    def at(
        self, cells: Cells, small_plane: Image, mixed: FloatImage, alpha: FloatImage
    ) -> FloatImage:
        """Estimate it.

        Args:
            cells: N pixels of the small alpha.
            small_plane: uint8, of the small alpha's size.
            mixed: float32 (N, h, w), the pixels of the plane that each of them stands for.
            alpha: of the same shape.

        Returns:
            Like `mixed`, 0..255, the same where alpha is 1.
        """
        small = small_plane.astype(np.float32)
        share, little = self._share_hw[cells], np.float32(1e-4)
        person = cv2.blur(small * self._person_hw, BOX)[cells] / (share + little)
        room = cv2.blur(small * self._room_hw, BOX)[cells] / (1 - share + little)
        person, room = person[:, None, None], room[:, None, None]
        rest = mixed - room - alpha * (person - room)
        return np.asarray(np.clip(person + alpha * rest, 0, 255), np.float32)


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
