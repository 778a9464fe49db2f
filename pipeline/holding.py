"""Hold a mask while the picture stays what it was when the network last looked."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from seg_stream.pipeline.shrink import shrink
from seg_stream.pipeline.types import Image

CELL = 8
"""Pixels of the network's input whose mean must change, so that noise does not count, but a
finger does."""

LONGEST = 8
"""So many frames in a row have a mask that was made for an earlier one, at most."""


class Holding:
    """Compares pictures with the one that the network last saw; used from one thread."""

    def __init__(self) -> None:
        self._seen: list[Image] = []
        self._held = 0

    def restart(self) -> None:
        """Forget that picture."""
        self._seen, self._held = [], 0

    def __call__(self, small: Sequence[Image], levels: float) -> bool:
        """Whether the last mask still holds; else this picture is the one to compare with.

        Args:
            small: the picture's planes at the size of the network's input, uint8.
            levels: how much a cell's mean may change in a plane, in grey levels; 0 holds nothing.
        """
        if levels <= 0:
            self.restart()
            return False
        cells = [
            shrink(plane, max(1, plane.shape[1] // CELL), max(1, plane.shape[0] // CELL))
            for plane in small
        ]
        if self._held < LONGEST and self._like(cells, levels):
            self._held += 1
            return True
        self._seen, self._held = cells, 0
        return False

    def _like(self, cells: Sequence[Image], levels: float) -> bool:
        if [plane.shape for plane in cells] != [plane.shape for plane in self._seen]:
            return False
        return all(
            int(np.max(cv2.absdiff(new, old))) < levels
            for new, old in zip(cells, self._seen, strict=True)
        )
