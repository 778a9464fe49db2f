from __future__ import annotations

import cv2
import numpy as np
import pytest

from seg_stream.training.evaluation.scores import (
    Flicker,
    alpha_error,
    boundary_f,
    gap_filled,
    mask_iou,
)
from tests.training.data import draw_person


def disc(x: int = 200, radius: int = 80) -> np.ndarray:
    alpha = np.zeros((256, 400), np.uint8)
    cv2.circle(alpha, (x, 128), radius, 255, -1)
    return alpha


def found(alpha: np.ndarray) -> np.ndarray:
    return alpha.astype(np.float32) / 255


def test_a_perfect_matte_has_perfect_scores() -> None:
    alpha = disc()
    assert mask_iou(found(alpha), alpha) == 1
    assert boundary_f(found(alpha), alpha) == 1
    assert alpha_error(found(alpha), alpha) == 0


def test_overlap_is_intersection_over_union() -> None:
    alpha = np.zeros((100, 100), np.uint8)
    alpha[:, :60] = 255
    shifted = np.roll(alpha, 20, axis=1)
    assert mask_iou(found(shifted), alpha) == pytest.approx(40 / 80)
    assert alpha_error(found(shifted), alpha) == pytest.approx(0.4)


def test_an_outline_two_pixels_off_is_right_and_five_off_is_wrong() -> None:
    alpha = disc()
    assert boundary_f(found(disc(radius=82)), alpha) > 0.95
    assert boundary_f(found(disc(radius=85)), alpha) < 0.05


def test_the_tolerance_grows_with_the_frame() -> None:
    large = cv2.resize(disc(), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    grown = cv2.dilate(large, np.ones((9, 9), np.uint8))  # four pixels of 1024 rows: one of 256
    assert boundary_f(found(grown), large) > 0.95


def test_the_frames_edges_are_no_outline() -> None:
    half = np.zeros((256, 400), np.uint8)
    half[:, :200] = 255
    extended = half.copy()
    extended[:, 200:] = 255
    assert boundary_f(found(extended), half) == 0
    assert boundary_f(found(half), half) == 1
    empty = np.zeros_like(half)
    assert boundary_f(found(empty), empty) == 1
    assert mask_iou(found(empty), empty) == 1


def test_the_room_between_arm_and_body_is_scored_by_itself() -> None:
    _, alpha = draw_person((110, 164), standing=True, rng=np.random.default_rng(0), arm=True)
    filled = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, np.ones((1, 21), np.uint8))
    half = filled.copy()
    half[65:] = alpha[65:]  # the gap's lower half, of rows 40 to 90
    assert gap_filled(found(alpha), alpha) == 0
    assert gap_filled(found(half), alpha) == pytest.approx(0.5, abs=0.02)
    assert gap_filled(found(filled), alpha) == 1
    assert gap_filled(np.full(alpha.shape, np.nan, np.float32), alpha) == 1
    assert gap_filled(found(disc()), disc()) is None


def test_a_mask_that_moves_with_the_picture_does_not_flicker() -> None:
    rng = np.random.default_rng(1)
    texture = cv2.resize(rng.integers(0, 255, (40, 60)).astype(np.uint8), (500, 300))
    steady, trembling, late = Flicker(), Flicker(), Flicker()
    for i in range(8):
        frame = np.ascontiguousarray(texture[:256, i * 3 : i * 3 + 400])
        alpha = found(disc(x=220 - 3 * i))
        steady.add(frame, [alpha])
        trembling.add(frame, [found(disc(x=220 - 3 * i, radius=80 + 4 * (i % 2)))])
        late.add(frame, [found(disc(x=220))])
    (calm,), (restless,), (stuck,) = steady.means(), trembling.means(), late.means()
    assert calm < 0.003
    assert restless > 5 * calm
    assert stuck > 3 * calm
