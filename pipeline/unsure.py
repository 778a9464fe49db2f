"""Where the network is unsure, decide by colour: hair, a dark sleeve, the wall beneath an elbow.

Each unsure pixel is compared twice with pixels around it that the network is sure of. Far around,
with samples: is its colour among the person's or the room's (J. Wang, M. Cohen, "Optimized Color
Sampling for Robust Matting", CVPR 2007)? Near by, where both meet: how much of each does it mix,
if alpha is a linear function of colour there (A. Levin et al., "A Closed-Form Solution to Natural
Image Matting", PAMI 2008)? The pixels around are those of a picture of half the mask's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.shrink import Plane, shrink
from seg_stream.pipeline.types import FloatImage, Image, Pixels

UNSURE = (0.05, 0.2)
"""A probability this far from 0 and 1 begins to be unsure, and is so entirely."""

SAMPLES = 64
"""How many pixels are looked at far around."""

REACH = 30
"""How far the furthest of them is, in pixels of half the mask's size."""

SAME = 6.0
"""Standard deviation, in grey levels of luma, of what counts as the same colour."""

FEW = 1.0
"""So many samples of a side make it half known."""

ANY = 0.02
"""Share of a side that is taken to be of any colour."""

NEAR = (7, 7)
"""The box of the linear function, in pixels of half the mask's size."""

LITTLE = 3e-5
"""Variance of colours, 0..1, below which nothing can be told from them."""

SCANT = 0.02
"""Share of the box in which person and room must both be for half the weight, if colours tell them
apart."""

Numbers = npt.NDArray[np.float32]


def decide_by_colour(mask_hw: FloatImage, small: Sequence[Image]) -> FloatImage:
    """Look at the colours around each unsure pixel.

    Args:
        mask_hw: the network's probability, float32 (h, w), 0..1.
        small: planes of the picture at that size, uint8: Y, U, V, or one (h, w, 3) of B, G, R.

    Returns:
        float32 (h, w), 0..1; where the network is sure, what it said.
    """
    unsure_hw = _unsure(mask_hw)
    if not unsure_hw.any():
        return mask_hw
    height, width = mask_hw.shape
    planes = cv2.split(small[0]) if len(small) == 1 else small
    colours = [np.asarray(plane, np.uint8) for plane in planes]
    half_hw = _half(mask_hw)
    half_colours = [_half(colour).astype(np.float32) for colour in colours]
    half_sure_hw = 1 - _unsure(half_hw)
    person_hw = half_sure_hw * (half_hw > 0.5)
    room_hw = half_sure_hw - person_hw
    if not (person_hw.any() and room_hw.any()):  # there is nothing to compare with
        return mask_hw
    change_hw = _far(half_hw, half_colours, person_hw, room_hw, levels(len(small) == 1))
    twice = cv2.resize(change_hw, (2 * half_hw.shape[1], 2 * half_hw.shape[0]))
    decided_hw = mask_hw + unsure_hw * np.asarray(twice[:height, :width], np.float32)
    at = np.flatnonzero(unsure_hw > 0)
    alpha, weight = _near(at, width, colours, half_colours, half_sure_hw, person_hw)
    decided = decided_hw.take(at)
    decided += unsure_hw.take(at) * weight * (alpha - decided)
    np.put(decided_hw, at, np.clip(decided, 0, 1))
    return decided_hw


def levels(bgr: bool) -> float:
    """`SAME` of three colours together."""
    # Each of B, G and R holds the brightness, which Y alone does otherwise.
    return SAME * (3**0.5 if bgr else 1)


def _far(
    half_hw: FloatImage,
    colours: Sequence[FloatImage],
    person_hw: FloatImage,
    room_hw: FloatImage,
    deviation: float,
) -> FloatImage:
    """By how much the samples' colours change the mask."""
    height, width = half_hw.shape
    change_hw = np.zeros((height, width), np.float32)
    at = np.flatnonzero(person_hw + room_hw < 1)
    ys, xs = np.divmod(at, width)
    bordered = width + 2 * REACH
    samples = ((ys + REACH) * bordered + xs + REACH)[:, None] + _spiral(bordered)
    distance = np.zeros(samples.shape, np.float32)
    for colour in colours:
        difference = _bordered(colour).take(samples)
        difference -= colour.ravel()[at][:, None]
        difference *= difference
        distance += difference
    likeness = np.exp(np.float32(-0.5 / deviation**2) * distance)
    person, person_known = _share(likeness, _bordered(person_hw).take(samples))
    room, room_known = _share(likeness, _bordered(room_hw).take(samples))
    # Bayes' rule; what the network thinks is the prior.
    before = half_hw.ravel()[at]
    yes, no = before * person, (1 - before) * room
    change_hw.ravel()[at] = person_known * room_known * (yes / (yes + no) - before)
    return change_hw


def _share(likeness: Numbers, weight: Numbers) -> tuple[Numbers, Numbers]:
    """How much of a side is of a pixel's colour, and how well the side is known, 0..1."""
    samples = weight.sum(axis=1)
    alike = np.einsum("ns,ns->n", likeness, weight)
    little = np.float32(FEW)
    return (alike + np.float32(ANY) * little) / (samples + little), samples / (samples + little)


def _near(
    at: Pixels,
    width: int,
    colours: Sequence[Image],
    half_colours: Sequence[FloatImage],
    sure_hw: FloatImage,
    person_hw: FloatImage,
) -> tuple[Numbers, Numbers]:
    """The alpha of pixels by a linear function of their colour, and how much to believe it."""
    ys, xs = np.divmod(at, width)
    cell = (ys // 2) * sure_hw.shape[1] + xs // 2
    used = np.zeros(sure_hw.size, np.bool_)
    used[cell] = True
    cells = np.flatnonzero(used)
    lines = np.empty((5, sure_hw.size), np.float32)
    lines[:, cells] = _lines(cells, half_colours, sure_hw, person_hw)
    *slopes, alpha, weight = lines.take(cell, axis=1)
    for slope, colour in zip(slopes, colours, strict=True):
        alpha += slope * colour.take(at)
    return np.clip(alpha, 0, 1), weight


def _lines(
    cells: Pixels, colours: Sequence[FloatImage], sure_hw: FloatImage, person_hw: FloatImage
) -> npt.NDArray[np.float64]:
    """The linear function around each cell: slopes, offset, how much to believe it.

    In double precision: B, G and R can be so alike that single would leave little but its rounding.
    """
    a, b, c = colours
    sure_a, sure_b, sure_c = sure_hw * a, sure_hw * b, sure_hw * c
    sums = [sure_hw, person_hw, sure_a, sure_b, sure_c]
    sums += [person_hw * a, person_hw * b, person_hw * c]
    sums += [sure_a * a, sure_b * b, sure_c * c, sure_a * b, sure_a * c, sure_b * c]
    means = np.stack([cv2.boxFilter(each, cv2.CV_64F, NEAR).take(cells) for each in sums])
    share = means[0]
    means = means[1:] / (share + 1e-4)
    person, mean = means[0], means[1:4]
    x, y, z = means[4:7] - mean * person  # covariance of alpha and colour
    aa, bb, cc = means[7:10] - mean * mean + 255**2 * LITTLE
    ab, ac, bc = means[10:13] - mean[[0, 0, 1]] * mean[[1, 2, 2]]
    # Gauss's elimination, down and up again; a third quicker than NumPy's solver.
    ba, ca = ab / aa, ac / aa
    y, bb, bc = y - ba * x, bb - ba * ab, bc - ba * ac
    cb = bc / bb
    z, cc = z - ca * x - cb * y, cc - ca * ac - cb * bc
    explained = x * x / aa + y * y / bb + z * z / cc
    slope_c = z / cc
    slope_b = y / bb - cb * slope_c
    slope_a = x / aa - ba * slope_b - ca * slope_c
    offset = person - slope_a * mean[0] - slope_b * mean[1] - slope_c * mean[2]
    least = share * np.minimum(person, 1 - person)
    # Where the two have the same colour, it explains nothing.
    told = np.clip(explained / (person * (1 - person) + 1e-6), 0, 1)
    return np.stack([slope_a, slope_b, slope_c, offset, told * least / (least + SCANT)])


def _unsure(mask_hw: FloatImage) -> FloatImage:
    """How unsure the network is, 0..1."""
    begins, entirely = UNSURE
    doubt = np.minimum(mask_hw, 1 - mask_hw) - np.float32(begins)
    return np.asarray(np.clip(doubt * np.float32(1 / (entirely - begins)), 0, 1), np.float32)


def _half(plane: Plane) -> Plane:
    """The mean of squares of 2x2; at an odd edge the last pixel counts twice."""
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = np.pad(plane, [(0, height % 2), (0, width % 2)], mode="edge")
    return shrink(plane, plane.shape[1] // 2, plane.shape[0] // 2)


def _bordered(plane: FloatImage) -> Numbers:
    """With nothing around it, as far as samples go; flat."""
    around = (REACH, REACH, REACH, REACH)
    return np.asarray(cv2.copyMakeBorder(plane, *around, cv2.BORDER_CONSTANT), np.float32).ravel()


@lru_cache(maxsize=4)
def _spiral(pitch: int) -> Pixels:
    """Where the samples lie, counted in pixels of rows so long; denser near the middle."""
    rows, columns = spiral()
    return rows * pitch + columns


def spiral() -> tuple[Pixels, Pixels]:
    """Rows and columns of the samples, a sunflower's (H. Vogel, 1979) drawn to its middle."""
    index = np.arange(1, SAMPLES + 1)
    radius = REACH * (index / SAMPLES) ** 0.7
    angle = index * np.pi * (3 - 5**0.5)
    rows, columns = np.rint(radius * np.sin(angle)), np.rint(radius * np.cos(angle))
    return rows.astype(np.intp), columns.astype(np.intp)


def drop_unsure_parts(
    decided_hw: FloatImage, mask_hw: FloatImage, low: float, sure: float
) -> FloatImage:
    """Empty the connected parts above `low` where the network reaches `sure` nowhere: a lamp.

    A mask that is sure nowhere at all is kept whole.

    Args:
        decided_hw: the mask as it was decided by colour, float32 (h, w), 0..1.
        mask_hw: as the network gave it.
        low: what a part is connected above.
        sure: what the network must reach in it.
    """
    sure_hw = mask_hw >= sure
    if not sure_hw.any():
        return decided_hw
    count, part_hw = cv2.connectedComponents((decided_hw > low).view(np.uint8))
    kept = np.zeros(count, bool)
    kept[part_hw[sure_hw]] = True
    kept[0] = True  # below `low`: soft edges
    return decided_hw if kept.all() else np.where(kept[part_hw], decided_hw, np.float32(0))
