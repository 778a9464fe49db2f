"""The room seen between two parts of a person, mostly an arm and the body.

It is little of a picture, so that no other score tells whether a network leaves it standing.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import Image

WIDEST: Final = 0.25
"""In a frame a gap is at most so wide, in heights of the frame."""


def find_gaps(
    alpha_hw: Image, widest: float, smallest: float
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Find where a row leaves a person and comes back.

    Args:
        alpha_hw: uint8 (H, W), 0..255.
        widest: gaps are about that narrow, in pixels of a row.
        smallest: gaps of fewer pixels are left out.

    Returns:
        Whether each pixel is in a gap, (H, W), and the gaps' middles, (2, N): x and y.
    """
    if not alpha_hw.size:
        return np.zeros(alpha_hw.shape, np.bool_), np.zeros((2, 0))
    across = min(round(widest), alpha_hw.shape[1]) | 1
    person = np.pad(np.where(alpha_hw > 127, np.uint8(1), np.uint8(0)), [(0, 0), (across, across)])
    closed = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((1, across), np.uint8))
    between = np.ascontiguousarray((closed - person)[:, across:-across])
    _, part_hw, stats, middles = cv2.connectedComponentsWithStats(between)
    kept = stats[:, cv2.CC_STAT_AREA] >= smallest
    kept[0] = False  # all that is no gap
    return np.asarray(kept[part_hw], np.bool_), np.asarray(middles[kept].T, np.float64)
