"""Move a mask along with the picture between two frames that the network saw."""

from __future__ import annotations

import cv2
import numpy as np

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.types import FloatImage, Image

ROWS = 96
"""Rows of the picture that the flow is measured in; half of them are enough for a head."""


class MaskTracker:
    """Keeps the last mask and the picture it belongs to; used from one thread.

    The flow is DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016).
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._grey: Image | None = None
        self._mask_hw: FloatImage | None = None

    def restart(self) -> None:
        """Forget the last mask."""
        self._grey = self._mask_hw = None

    def grey(self, frame: Frame) -> Image:
        """The frame's luma at the size of the flow, uint8."""
        return frame.shrunk_luma(max(16, round(frame.width * ROWS / frame.height)), ROWS)

    def follows(self, grey: Image) -> bool:
        """Whether there is a mask to move to this picture."""
        return self._grey is not None and self._grey.shape == grey.shape

    def start(self, grey: Image, mask_hw: FloatImage) -> FloatImage:
        """Take a fresh mask, float32 0..1 of any size, and the picture it was made from."""
        self._grey, self._mask_hw = grey, mask_hw
        return mask_hw

    def move(self, grey: Image) -> FloatImage:
        """Return the last mask moved to the next picture, and keep it.

        Raises:
            ValueError: there is none.
        """
        if self._grey is None or self._mask_hw is None:
            raise ValueError("there is no mask to move; start with one")
        height, width = self._mask_hw.shape
        flow = self._flow.calc(grey, self._grey, np.zeros((*grey.shape, 2), np.float32))
        scale = np.array([width / grey.shape[1], height / grey.shape[0]], np.float32)
        shift = cv2.resize(np.asarray(flow, np.float32) * scale, (width, height))
        ys, xs = np.mgrid[:height, :width].astype(np.float32)
        moved = cv2.remap(
            self._mask_hw,
            xs + shift[..., 0],
            ys + shift[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return self.start(grey, np.asarray(moved, np.float32))
