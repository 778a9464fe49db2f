"""How good a matte is: region, outline, alpha, and calm over time."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from seg_stream.pipeline.types import FloatImage, Image, unit
from seg_stream.training.gaps import WIDEST, find_gaps

Mask = npt.NDArray[np.bool_]

BOUNDARY_ROWS = 256
BOUNDARY_TOLERANCE = 2
"""Pixels by which an outline may be off, in a picture of `BOUNDARY_ROWS` rows."""

GAP_AREA = 0.002
"""A gap is at least so large a part of the frame."""


def mask_iou(predicted_hw: FloatImage, alpha_hw: Image) -> float:
    """Intersection over union of the masks at one half; two empty masks agree fully."""
    found, true = predicted_hw > 0.5, alpha_hw > 127
    either = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / either if either else 1.0


def boundary_f(predicted_hw: FloatImage, alpha_hw: Image) -> float:
    """F-score of the outline, 0..1: Csurka et al., "What is a good evaluation measure", BMVC 2013.

    The mean, harmonic, of how much of the found outline lies within the tolerance of the true one
    and the other way round. The frame's own edges are no outline; two masks without one agree.
    """
    size = (round(alpha_hw.shape[1] * BOUNDARY_ROWS / alpha_hw.shape[0]), BOUNDARY_ROWS)
    found, true = (
        _outline(cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 0.5)
        for mask in (predicted_hw, unit(alpha_hw))
    )
    if not found.any() and not true.any():
        return 1.0
    if not found.any() or not true.any():
        return 0.0
    precision = np.count_nonzero(found & _near(true)) / np.count_nonzero(found)
    recall = np.count_nonzero(true & _near(found)) / np.count_nonzero(true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def alpha_error(predicted_hw: FloatImage, alpha_hw: Image) -> float:
    """Mean absolute difference of alpha, 0..1."""
    return float(np.abs(predicted_hw - unit(alpha_hw)).mean())


def gap_filled(predicted_hw: FloatImage, alpha_hw: Image) -> float | None:
    """How much of the room between arms and body is taken for the person, 0..1; None without any.

    A gap is where a row leaves the person and comes back within `WIDEST`; also between a head and a
    raised hand, or two people. Wider ones, as close-ups show, are not counted.
    """
    gaps = _gaps(alpha_hw)
    return 1 - float((predicted_hw[gaps] <= 0.5).mean()) if gaps.any() else None


def shows_gap(alpha_hw: Image) -> bool:
    """Whether there is such a gap in a frame."""
    return bool(_gaps(alpha_hw).any())


def _gaps(alpha_hw: Image) -> Mask:
    height, width = alpha_hw.shape
    return find_gaps(alpha_hw, WIDEST * height, GAP_AREA * height * width)[0]


def _outline(mask: Mask) -> Mask:
    inside = mask.astype(np.uint8)
    return np.asarray(inside - cv2.erode(inside, np.ones((3, 3), np.uint8)), bool)


def _near(outline: Mask) -> Mask:
    side = 2 * BOUNDARY_TOLERANCE + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(outline.astype(np.uint8), disc), bool)


class Flicker:
    """How much the alpha of a video changes beyond what moves, frame by frame.

    Source: W.-S. Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018: the warping
    error, mean |alpha - previous alpha moved along the optical flow|, over pixels that the flow
    explains (those whose forward and backward flow agree).
    """

    ROWS = 256

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._grey: Image | None = None
        self._alphas: list[FloatImage] = []
        self._errors: list[list[float]] = []

    def add(self, luma_hw: Image, alphas_hw: list[FloatImage]) -> None:
        """Take the next frame's luma, uint8, and each model's alpha for it, of any size."""
        size = (round(luma_hw.shape[1] * self.ROWS / luma_hw.shape[0]), self.ROWS)
        grey = np.asarray(cv2.resize(luma_hw, size, interpolation=cv2.INTER_AREA), np.uint8)
        alphas = [
            np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
            for alpha in alphas_hw
        ]
        if self._grey is not None:
            back = self._between(grey, self._grey)
            forth = self._between(self._grey, grey)
            seen = _explained(back, forth)
            self._errors.append(
                [
                    float(np.abs(alpha - _warp(before, back))[seen].mean()) if seen.any() else 0.0
                    for alpha, before in zip(alphas, self._alphas, strict=True)
                ]
            )
        self._grey, self._alphas = grey, alphas

    def _between(self, one: Image, other: Image) -> FloatImage:
        flow = np.zeros((*one.shape, 2), np.float32)
        return np.asarray(self._flow.calc(one, other, flow), np.float32)

    def means(self) -> list[float]:
        """The error of each model, 0..1; zero before the second frame."""
        if not self._errors:
            return [0.0] * len(self._alphas)
        return [float(error) for error in np.mean(self._errors, axis=0)]


def _warp(picture: FloatImage, flow: FloatImage) -> FloatImage:
    height, width = picture.shape[:2]
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(
        picture, xs + flow[..., 0], ys + flow[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(moved, np.float32)


def _explained(back: FloatImage, forth: FloatImage) -> Mask:
    """Where the two flows cancel: Sundaram et al., ECCV 2010, as Lai et al. use it."""
    returned = back + _warp(forth, back)
    size = (back**2).sum(-1) + (forth**2).sum(-1)
    return np.asarray((returned**2).sum(-1) <= 0.01 * size + 0.5, bool)
