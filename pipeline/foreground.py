"""Estimate the colour of the person where a pixel mixes person and room.

Source: M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion).
"""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage


def blur_fusion(
    image: FloatImage, alpha_hw1: FloatImage, radius: int, passes: tuple[int, ...] = ()
) -> FloatImage:
    """Return the foreground colour at every pixel.

    Args:
        image: (H, W, 3) float32, any range; it is the mix `alpha * F + (1 - alpha) * B`.
        alpha_hw1: (H, W, 1) float32 in 0..1.
        radius: half the side of the first box blur, in pixels.
        passes: radii of further, finer passes, each starting from the last result.

    Returns:
        F, (H, W, 3) float32 in the range of `image`, not clipped.
    """
    foreground = background = image
    for r in (radius, *passes):
        side = (2 * r + 1, 2 * r + 1)
        weight = cv2.blur(alpha_hw1, side)[..., None]
        mean_f = cv2.blur(foreground * alpha_hw1, side) / (weight + 1e-5)
        mean_b = cv2.blur(background * (1 - alpha_hw1), side) / (1 - weight + 1e-5)
        foreground = mean_f + alpha_hw1 * (image - alpha_hw1 * mean_f - (1 - alpha_hw1) * mean_b)
        background = mean_b
    return np.asarray(foreground, dtype=np.float32)
