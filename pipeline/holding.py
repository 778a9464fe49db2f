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

TEXTURE = 2
"""So many times as much may single pixels of a cell change on average, of which noise is a part."""

LONGEST_S = 0.25
"""A mask is held for pictures so much later than its own, at most."""


class Holding:
    """Compares pictures with the one that the network was last to see; used from one thread."""

    def __init__(self) -> None:
        self._seen: Sequence[Image] = []
        self._seen_cells: Sequence[Image] = []
        self._seen_s = 0.0
        self.look = 0
        """The number of the last look; it never goes back, so that a mask cannot be mistaken."""

    def restart(self) -> None:
        """Forget that picture."""
        self._seen = self._seen_cells = []

    def __call__(self, small: Sequence[Image], at_s: float, levels: float) -> int:
        """Say by its number which look this picture has its mask from: the last, or a new one.

        Args:
            small: the picture's planes at the size of the network's input, uint8.
            at_s: its time.
            levels: how much a cell's mean may change in a plane, in grey levels; 0 holds nothing.
        """
        cells = [_cells(plane) for plane in small]
        young = 0 <= at_s - self._seen_s <= LONGEST_S
        if not young or not self._like(small, cells, levels):
            self._seen, self._seen_cells, self._seen_s = small, cells, at_s
            self.look += 1
        return self.look

    def _like(self, small: Sequence[Image], cells: Sequence[Image], levels: float) -> bool:
        if [plane.shape for plane in small] != [plane.shape for plane in self._seen]:
            return False
        if any(_most(*pair) >= levels for pair in zip(cells, self._seen_cells, strict=True)):
            return False
        changes = (cv2.absdiff(*pair) for pair in zip(small, self._seen, strict=True))
        return all(np.max(_cells(np.asarray(each))) < TEXTURE * levels for each in changes)


def _most(new: Image, old: Image) -> int:
    return int(np.max(cv2.absdiff(new, old)))


def _cells(plane: Image) -> Image:
    return shrink(plane, max(1, plane.shape[1] // CELL), max(1, plane.shape[0] // CELL))
