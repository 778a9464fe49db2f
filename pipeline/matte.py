"""From the network's small probability map to an alpha at frame size, calm over time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.steadying import Steadier
from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.pipeline.unsure import decide_by_colour, drop_unsure_parts


@dataclass(frozen=True)
class MatteSettings:
    """How the alpha is made.

    `steadiness`: 0 takes every mask as it is; 1 changes still areas slowest. `edge_radius`: radius
    of the edge-aware filter in network pixels. `edge_smoothness`: its epsilon in luma units 0..1;
    edges weaker than its root are not followed. `low`, `high`: probabilities that become 0 and 1.
    `sure`: a part of the mask that reaches this probability nowhere is left out, if another does.
    `hold`: the network need not look again while no small part of the picture has changed by so
    many grey levels; 0 lets it look at every frame.
    """

    steadiness: float = 0.85
    edge_radius: int = 1
    edge_smoothness: float = 5e-3
    low: float = 0.25
    high: float = 0.75
    sure: float = 0.9
    hold: float = 4.0

    def __post_init__(self) -> None:
        """Refuse what makes no matte.

        Raises:
            UserError: a value is outside its range.
        """
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                name = name.replace("_", " ")
                raise UserError(f"The {name} is {value:g}, expected {least:g} to {most:g}.")
        if self.low >= self.high:
            raise UserError(f"low is {self.low:g}, expected less than high, {self.high:g}.")


_RANGES = {
    "steadiness": (0, 1),
    "edge_radius": (1, 64),
    "edge_smoothness": (1e-9, 1e9),
    "low": (0, 1),
    "high": (0, 1),
    "sure": (0, 1),
    "hold": (0, 255),
}


class Matte:
    """Makes the alpha of one frame after the other."""

    def __init__(self, settings: MatteSettings | None = None) -> None:
        self.settings = settings or MatteSettings()
        """In force from the next mask on."""
        self._steadier = Steadier()
        self._mask_hw: FloatImage | None = None
        self._decided_hw: FloatImage | None = None
        self._scratch: cv2.typing.MatLike | None = None

    def restart(self) -> None:
        """Forget the last mask."""
        self._steadier.restart()
        self._mask_hw = self._decided_hw = None

    def __call__(self, mask_hw: FloatImage, frame: Frame, *, held: bool = False) -> FloatImage:
        """Refine one mask with the frame it was made from.

        Args:
            mask_hw: the network's probability, float32, any size, 0..1.
            frame: the frame, for its edges; frames come in the order of their time.
            held: the mask is the last one once more, the same array, and so is what colour decided.

        Returns:
            Alpha, float32 (H, W) of the frame, exactly 0 or 1 away from the edge.
        """
        options = self.settings
        height, width = mask_hw.shape
        if self._decided_hw is None or not held or mask_hw is not self._mask_hw:
            decided_hw = decide_by_colour(mask_hw, frame.shrunk(width, height))
            self._decided_hw = drop_unsure_parts(decided_hw, mask_hw, options.low, options.sure)
            self._mask_hw = mask_hw
        guide_hw = unit(frame.shrunk_luma(width, height))
        steady_hw = self._steadier(
            self._decided_hw, guide_hw, options.steadiness, still=frame.still
        )
        # Sure probabilities go beyond 0 and 1 here, and are clipped once their edges are drawn.
        stretched_hw = (steady_hw - np.float32(options.low)) * np.float32(
            1 / (options.high - options.low)
        )
        slope, offset = guided_filter(
            stretched_hw, guide_hw, options.edge_radius, options.edge_smoothness
        )
        return self._draw(slope, offset, frame.luma())

    def _draw(self, slope: FloatImage, offset: FloatImage, luma_hw: Image) -> FloatImage:
        """`slope * luma + offset` at the frame's size, within 0..1."""
        size = (luma_hw.shape[1], luma_hw.shape[0])
        # Kept from frame to frame: to get so much memory anew takes longer than the sums.
        self._scratch = cv2.resize(slope * np.float32(1 / 255), size, dst=self._scratch)
        scaled = cv2.multiply(self._scratch, luma_hw, dst=self._scratch, dtype=cv2.CV_32F)
        alpha_hw = np.asarray(cv2.resize(offset, size), np.float32)
        cv2.add(scaled, alpha_hw, dst=alpha_hw)
        return np.clip(alpha_hw, 0.0, 1.0, out=alpha_hw)


def guided_filter(
    mask_hw: FloatImage, guide_hw: FloatImage, radius: int, epsilon: float
) -> tuple[FloatImage, FloatImage]:
    """Find how a mask follows the picture: the fast guided filter, at the mask's own size.

    Source: K. He, J. Sun, "Fast Guided Filter", 2015. `guide_hw` is the picture's luma, 0..1, at
    that size; `epsilon` is in squared luma units.

    Returns:
        Slope and offset, float32 like the mask: alpha is `slope * luma + offset`, luma 0..1, with
        both upsampled to the picture's size.
    """
    side = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_mask = cv2.blur(guide_hw, side), cv2.blur(mask_hw, side)
    covariance = cv2.blur(guide_hw * mask_hw, side) - mean_guide * mean_mask
    variance = cv2.blur(guide_hw * guide_hw, side) - mean_guide * mean_guide
    slope = covariance / (variance + np.float32(epsilon))
    offset = cv2.blur(mean_mask - slope * mean_guide, side)
    return np.asarray(cv2.blur(slope, side), np.float32), np.asarray(offset, np.float32)
