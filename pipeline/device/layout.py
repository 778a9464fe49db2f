"""How a frame lies in one piece of memory, the same on the host and on the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seg_stream.engines.kernels.arguments import Plane
from seg_stream.pipeline.frame import Frame, PixelFormat, plane_sizes
from seg_stream.pipeline.types import Image

ALIGNMENT = 64
"""Rows and planes begin at multiples of so many bytes, so that the kernels read words."""


@dataclass(frozen=True)
class FrameLayout:
    """Planes one after another, rows padded to whole words."""

    format: PixelFormat
    width: int
    height: int

    @staticmethod
    def of(frame: Frame) -> FrameLayout:
        """The layout for a frame."""
        return FrameLayout(frame.format, frame.width, frame.height)

    @property
    def channels(self) -> int:
        """Bytes of a pixel in each plane."""
        return 3 if self.format == "bgr24" else 1

    def _places(self) -> list[tuple[int, int, int, int]]:
        """Offset, pitch, height and width of each plane."""
        places, offset = [], 0
        for height, width in plane_sizes(self.format, self.width, self.height):
            pitch = -(-width * self.channels // ALIGNMENT) * ALIGNMENT
            places.append((offset, pitch, height, width))
            offset += pitch * height
        return places

    @property
    def size(self) -> int:
        """Bytes in all."""
        offset, pitch, height, _ = self._places()[-1]
        return offset + pitch * height

    def views(self, memory: Image) -> list[Image]:
        """The planes in an array of `size` bytes: (h, w), or (H, W, 3) for BGR."""
        views = []
        for offset, pitch, height, width in self._places():
            rows = memory[offset : offset + pitch * height].reshape(height, pitch)
            rows = rows[:, : width * self.channels]
            views.append(rows.reshape(height, width, 3) if self.channels == 3 else rows)
        return views

    def fill(self, memory: Image, planes: Sequence[Image]) -> None:
        """Copy a frame's planes into an array of `size` bytes."""
        for view, plane in zip(self.views(memory), planes, strict=True):
            np.copyto(view, plane)

    def planes(self, address: int) -> list[Plane]:
        """Three channels for the kernels: Y, U, V or B, G, R."""
        if self.format == "bgr24":
            _, pitch, height, width = self._places()[0]
            return [Plane(address + channel, pitch, 3, width, height) for channel in range(3)]
        return [
            Plane(address + offset, pitch, 1, width, height)
            for offset, pitch, height, width in self._places()
        ]
