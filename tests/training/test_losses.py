from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the losses need the extra 'train'")

from seg_stream.training.losses import iou, matte_loss


def square() -> np.ndarray:
    alpha = np.zeros((1, 64, 64, 1), np.float32)
    alpha[:, 20:44, 20:44] = 1
    return alpha


def test_the_right_mask_costs_almost_nothing_and_a_wrong_one_more() -> None:
    alpha = square()
    right = float(matte_loss(alpha, alpha)[0])
    shifted = float(matte_loss(alpha, np.roll(alpha, 3, axis=1))[0])
    nothing = float(matte_loss(alpha, np.zeros_like(alpha))[0])
    assert right < 1e-4 < shifted < nothing


def test_an_error_at_the_outline_costs_more_than_one_far_from_it() -> None:
    alpha = square()
    near, far = alpha * 0.98 + 0.01, alpha * 0.98 + 0.01
    near[0, 16:20, 20:30] = 0.9
    far[0, 2:6, 20:30] = 0.9
    assert float(matte_loss(alpha, near)[0]) > 1.3 * float(matte_loss(alpha, far)[0])


def test_filling_the_gap_beside_an_arm_costs_more_than_as_much_room_elsewhere() -> None:
    alpha = np.zeros((1, 64, 64, 1), np.float32)
    alpha[:, 20:, 20:36] = 1  # the body
    alpha[:, 24:, 44:50] = 1  # the arm
    alpha[:, 20:24, 20:50] = 1  # the shoulder
    filled, elsewhere = alpha.copy(), alpha.copy()
    filled[:, 24:, 36:44] = 1
    elsewhere[:, 24:, 50:58] = 1
    assert float(matte_loss(alpha, filled)[0]) > 2 * float(matte_loss(alpha, elsewhere)[0])


def test_room_between_a_person_and_the_frames_side_is_no_gap() -> None:
    alpha = np.zeros((1, 64, 96, 1), np.float32)
    alpha[:, 20:, 6:90] = 1
    beside, above = alpha.copy(), alpha.copy()
    beside[:, 24:, :6] = 1
    above[:, 14:20, 26:66] = 1
    assert float(matte_loss(alpha, beside)[0]) < 1.2 * float(matte_loss(alpha, above)[0])


def test_iou_counts_overlap_and_two_empty_masks_agree() -> None:
    alpha = square()
    assert float(iou(alpha, alpha)[0]) == pytest.approx(1)
    assert float(iou(alpha, np.roll(alpha, 12, axis=1))[0]) == pytest.approx(1 / 3, abs=1e-4)
    assert float(iou(np.zeros_like(alpha), np.zeros_like(alpha))[0]) == pytest.approx(1)
