"""Put the person on the new background, plane by plane, in the frame's own colour space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.foreground import EdgeColour
from seg_stream.pipeline.shrink import halvings, shrink
from seg_stream.pipeline.types import FloatImage, Image, Pixels

SURE = 1 / 512
"""Alpha this close to 0 or 1 is taken as 0 or 1: it would change a pixel by half a step."""

EDGE_SHARE = 0.15
"""Where more of the pixels are mixed there is no edge to speak of: they are plainly blended."""

CELL_ROWS = 100
"""A frame is divided into about this many rows of square cells. Those without a mixed pixel are
only copied, and in the others the mean colours of person and room are one number each."""

Plane = TypeVar("Plane", Image, FloatImage)
Mix = Callable[[FloatImage, FloatImage, FloatImage], FloatImage]
Shrunk = Callable[[int, int], Sequence[Image]]
"""Gives the planes, each scaled to a width and height, as `Frame.shrunk` does."""


def blend(
    planes: Sequence[Image],
    alpha_hw: FloatImage,
    background: Sequence[Image],
    shrunk: Shrunk | None = None,
) -> tuple[Image, ...]:
    """Composite `alpha * person + (1 - alpha) * background`.

    The person's colour in mixed pixels is estimated, so that the old room does not shine through
    hair. Where alpha is 1 the frame's pixels come out unchanged, where it is 0 the background's.

    Args:
        planes: of the frame, uint8, (H, W, 3) or Y, U, V.
        alpha_hw: float32 (H, W) in 0..1.
        background: planes of the same sizes.
        shrunk: of the frame, where its small planes are kept; else they are made.

    Returns:
        New planes.
    """
    return _compose(
        planes,
        alpha_hw,
        background,
        lambda person, room, alpha: room + alpha * (person - room),
        shrunk,
    )


def cut_out(
    planes: Sequence[Image],
    alpha_hw: FloatImage,
    empty: Sequence[int],
    shrunk: Shrunk | None = None,
) -> tuple[Image, ...]:
    """The person's own colour, not multiplied by alpha, for an output that carries alpha itself.

    Args:
        planes: of the frame, uint8, (H, W, 3) or Y, U, V.
        alpha_hw: float32 (H, W) in 0..1.
        empty: the value for each plane where nobody is.
        shrunk: of the frame, where its small planes are kept; else they are made.

    Returns:
        New planes.
    """
    nothing = [np.full(p.shape, value, np.uint8) for p, value in zip(planes, empty, strict=True)]
    return _compose(
        planes,
        alpha_hw,
        nothing,
        lambda person, room, alpha: np.where(alpha < SURE, room, person),
        shrunk,
    )


def _compose(
    planes: Sequence[Image],
    alpha_hw: FloatImage,
    rooms: Sequence[Image],
    mix: Mix,
    shrunk: Shrunk | None,
) -> tuple[Image, ...]:
    """Copy the cells that are person or room alone, and mix the others."""
    if planes[0].ndim == 3:
        kept = shrunk and (lambda width, height: _split(shrunk(width, height)[0]))
        parts = _compose(_split(planes[0]), alpha_hw, _split(rooms[0]), mix, kept)
        return (np.asarray(cv2.merge(parts), np.uint8),)
    height, width = alpha_hw.shape
    side = max(2, halvings(height, CELL_ROWS))
    grid = _Grid(-(-height // side), -(-width // side))
    alpha_hw = grid.fit(alpha_hw)
    small_hw = shrink(alpha_hw, grid.columns, grid.rows)
    person_hw = (small_hw > 0.5).astype(np.uint8)
    sure = SURE / side**2
    ys, xs = np.nonzero((small_hw > sure) & (small_hw < 1 - sure))
    cells = _Cells(grid, ys, xs)
    alpha = cells.of(alpha_hw)
    share = np.count_nonzero((alpha > SURE) & (alpha < 1 - SURE)) / (height * width)
    edge = EdgeColour(small_hw) if ys.size and share <= EDGE_SHARE else None
    whole = [grid.fit(plane) for plane in planes]
    small: Sequence[Image] = ()
    if edge:
        padded = any(fitted is not plane for fitted, plane in zip(whole, planes, strict=True))
        if shrunk and not padded:  # what is padded is not the frame's any more
            small = shrunk(grid.columns, grid.rows)
        else:
            small = [shrink(plane, grid.columns, grid.rows) for plane in whole]
    results = []
    for index, (plane, room) in enumerate(zip(whole, map(grid.fit, rooms), strict=True)):
        down, across = plane.shape[0] // grid.rows, plane.shape[1] // grid.columns
        mask = person_hw.repeat(across, axis=1).repeat(down, axis=0)
        out = np.asarray(cv2.copyTo(plane, mask, room.copy()), np.uint8)
        if ys.size:
            colour, behind = (cells.of(each).astype(np.float32) for each in (plane, room))
            weight = _shrink_cells(alpha, down, across)
            if edge:
                colour = edge.at((ys, xs), small[index], colour, weight)
            cells.put(out, np.rint(mix(colour, behind, weight)).astype(np.uint8))
        results.append(out)
    return tuple(
        out[: plane.shape[0], : plane.shape[1]] for out, plane in zip(results, planes, strict=True)
    )


@dataclass(frozen=True)
class _Grid:
    """The same rows and columns of cells for planes of different sizes."""

    rows: int
    columns: int

    def fit(self, plane: Plane) -> Plane:
        """The plane if it divides into cells; else with its last pixels repeated until it does."""
        more = -plane.shape[0] % self.rows, -plane.shape[1] % self.columns
        if any(more):
            return np.pad(plane, [(0, more[0]), (0, more[1])], mode="edge")
        return plane if plane.strides[1] == plane.itemsize else np.ascontiguousarray(plane)


class _Cells:
    """Some cells of every plane; a row of a cell is moved as one item, which is far quicker."""

    def __init__(self, grid: _Grid, ys: Pixels, xs: Pixels) -> None:
        self._grid, self._ys, self._xs = grid, ys, xs
        self._places: dict[int, Pixels] = {}

    def of(self, plane: Plane) -> Plane:
        """Their pixels, (N, height of a cell, width of a cell)."""
        down, across, rows = self._rows(plane)
        found = rows.take(self._at(down))
        pixels: Plane = found.view(plane.dtype).reshape(len(found), down, across)
        return pixels

    def put(self, plane: Image, pixels: Image) -> None:
        """Set them in a plane that is contiguous."""
        down, _, rows = self._rows(plane)
        np.put(rows, self._at(down), pixels.view(rows.dtype))

    def _rows(self, plane: Plane) -> tuple[int, int, npt.NDArray[np.void]]:
        """Height and width of a cell, and the plane as one item for each row of a cell."""
        down, across = plane.shape[0] // self._grid.rows, plane.shape[1] // self._grid.columns
        return down, across, plane.view(f"V{across * plane.itemsize}")

    def _at(self, down: int) -> Pixels:
        if down not in self._places:
            rows = self._ys[:, None] * down + np.arange(down)
            self._places[down] = rows * self._grid.columns + self._xs[:, None]
        return self._places[down]


def _split(plane: Image) -> list[Image]:
    return [np.asarray(channel, np.uint8) for channel in cv2.split(plane)]


def _shrink_cells(alpha: FloatImage, down: int, across: int) -> FloatImage:
    """The alpha of cells, (N, h, w), in a plane where they have fewer pixels, as in chroma."""
    count, height, width = alpha.shape
    if (height, width) == (down, across):
        return alpha
    column = alpha.reshape(count * height, width)  # the cells on top of each other
    small = cv2.resize(column, (across, count * down), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(count, down, across)
