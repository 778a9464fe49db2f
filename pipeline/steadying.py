"""Keep a mask calm over time where nothing moves, and prompt where something does."""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.pipeline.types import FloatImage

BOX = (5, 5)
"""Neighbours in such a box, in network pixels, agree on whether they move."""

NOISE = 0.01
"""A camera's noise: the luma, 0..1, may change by this much without anything moving."""

MOTION_GAIN = 80.0
"""How much more a change of the mask counts where the picture changes as well."""


class Steadier:
    """Holds the last mask and the picture that it was made from."""

    def __init__(self) -> None:
        self._last: tuple[FloatImage, FloatImage] | None = None

    def restart(self) -> None:
        """Forget them."""
        self._last = None

    def __call__(
        self, mask_hw: FloatImage, luma_hw: FloatImage, steadiness: float, *, still: bool = False
    ) -> FloatImage:
        """Steady the next mask.

        Args:
            mask_hw: float32 (h, w), 0..1.
            luma_hw: the picture's luma at that size, 0..1.
            steadiness: 0 takes every mask as it is, 1 lets nothing change where all is still.
            still: whether the picture has nothing to do with the one before it.

        Returns:
            float32 (h, w); kept, so the caller must not write to it.
        """
        if self._last is not None and not still and self._last[0].shape == mask_hw.shape:
            before_hw, luma_before_hw = self._last
            mask_hw = steady(mask_hw, before_hw, luma_hw, luma_before_hw, steadiness)
        self._last = mask_hw, luma_hw
        return mask_hw


def steady(
    mask_hw: FloatImage,
    before_hw: FloatImage,
    luma_hw: FloatImage,
    luma_before_hw: FloatImage,
    steadiness: float,
) -> FloatImage:
    """Blend with the last mask, the less the more the two disagree.

    Where the picture has not changed either, only a mask that turns from one side to the other is
    taken at once; where it has, a small disagreement is motion, and waiting would be lag.

    Args:
        mask_hw: this frame's mask, float32 (h, w), 0..1.
        before_hw: the last one, as it was steadied.
        luma_hw: this frame's luma at that size, 0..1.
        luma_before_hw: the last frame's.
        steadiness: the weight of the last mask where nothing happens, 0..1.
    """
    disagreement = cv2.blur(cv2.absdiff(mask_hw, before_hw), BOX)
    change = cv2.blur(cv2.absdiff(luma_hw, luma_before_hw), BOX)
    motion = np.maximum(change - np.float32(NOISE), 0)
    weight = disagreement * (1 + np.float32(MOTION_GAIN) * motion)
    weight = np.clip(weight, np.float32(1 - steadiness), 1)
    return np.asarray(before_hw + weight * (mask_hw - before_hw), np.float32)
