"""The alpha: steady where nothing happens, at once where something does, sharp at edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from frames import bgr_frame, frame_of, random_planes, sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte, MatteSettings

GREY = np.full((240, 320, 3), 100, np.uint8)


def noise(seed: int, shape: tuple[int, int] = (96, 96)) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.04, shape).astype(np.float32)


def test_a_step_in_the_mask_passes_at_once() -> None:
    matte = Matte()
    empty, full = np.zeros((96, 96), np.float32), np.ones((96, 96), np.float32)
    for index in range(5):
        assert matte(empty, bgr_frame(GREY, index=index)).max() == 0
    assert matte(full, bgr_frame(GREY, index=5)).min() == 1
    assert matte(empty, bgr_frame(GREY, index=6)).max() == 0


def moving(at: float, speed: int, contrast: int) -> tuple[np.ndarray, Frame]:
    """A mask on its way to the right, and the picture of what moves."""
    left = 5 + at * speed % 60
    mask = np.zeros((96, 96), np.float32)
    mask[20:80] = np.clip(np.minimum(np.arange(96) - left, left + 31 - np.arange(96)), 0, 1)
    mask = cv2.GaussianBlur(mask, (5, 5), 1)
    picture = 100 + contrast * cv2.resize(mask, (320, 240), interpolation=cv2.INTER_LINEAR)
    return mask, bgr_frame(picture_of(picture[..., None]), index=round(at))


def picture_of(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(np.broadcast_to(values, (240, 320, 3))), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("speed", [1, 4, 12, 40])
def test_a_moving_edge_is_where_its_own_mask_says(speed: int) -> None:
    """The same alpha as without a memory, but for a fringe: no lag, no ghost."""
    matte = Matte()
    for index in range(6):
        mask, frame = moving(index, speed, contrast=60)
        alpha, alone = matte(mask, frame), Matte()(mask, frame)
        assert np.abs(alpha - alone).mean() < 0.01
        assert ((alpha > 0.5) != (alone > 0.5)).mean() < 0.01


@pytest.mark.parametrize(("speed", "contrast"), [(1, 40), (2, 20), (4, 10), (4, 0), (12, 0)])
def test_a_moving_mask_lags_by_less_than_a_frame(speed: int, contrast: int) -> None:
    """Also one that the picture hardly shows."""
    matte = Matte()
    delays = np.arange(0, 3, 0.25)
    errors = np.zeros(len(delays))
    for index in range(12):
        mask, frame = moving(index, speed, contrast)
        alpha = matte(mask, frame)
        if index >= 4:
            then = [Matte()(*moving(index - delay, speed, contrast)) for delay in delays]
            errors += [float(((alpha - late) ** 2).sum()) for late in then]
    assert delays[errors.argmin()] < 1


def noisy(seed: int, sigma: float) -> np.ndarray:
    return np.clip(0.5 + noise(seed) * sigma / 0.04, 0, 1)


@pytest.mark.parametrize(("sigma", "rest"), [(0.04, 0.4), (0.2, 0.6)])
def test_still_noise_is_reduced(sigma: float, rest: float) -> None:
    def flicker(settings: MatteSettings) -> float:
        matte = Matte(settings)
        alphas = [matte(noisy(i, sigma), bgr_frame(GREY, index=i)) for i in range(30)]
        return float(np.abs(np.diff(alphas[5:], axis=0)).mean())

    calm, raw = flicker(MatteSettings()), flicker(MatteSettings(steadiness=0))
    assert raw > 0.005, "there is nothing to reduce"
    assert calm < rest * raw


def test_the_noise_of_a_camera_is_not_taken_for_motion() -> None:
    def flicker(camera_noise: float) -> float:
        matte, rng = Matte(), np.random.default_rng(0)
        alphas = []
        for index in range(30):
            picture = picture_of(GREY + rng.normal(0, camera_noise, GREY.shape))
            alphas.append(matte(noisy(index, 0.1), bgr_frame(picture, index=index)))
        return float(np.abs(np.diff(alphas[5:], axis=0)).mean())

    assert flicker(4.0) < 1.1 * flicker(0.0)


def test_a_part_that_is_sure_nowhere_is_left_out() -> None:
    mask = np.zeros((96, 96), np.float32)
    mask[30:90, 20:60] = 0.95  # the person
    mask[40:60, 60:64] = 0.4  # its arm, dimly seen but joined
    mask[5:15, 75:90] = 0.6  # a lamp
    alpha = Matte()(mask, bgr_frame(GREY))
    assert alpha[150, 100] == 1
    assert alpha[120, 206] > 0.1
    assert alpha[:60, 230:].max() == 0
    kept = Matte(MatteSettings(sure=0))(mask, bgr_frame(GREY))
    assert kept[25, 275] > 0.5


def test_a_mask_that_is_sure_nowhere_is_kept() -> None:
    mask = np.zeros((96, 96), np.float32)
    mask[30:90, 20:60] = 0.6
    assert Matte()(mask, bgr_frame(GREY))[150, 100] > 0.5


def test_without_steadiness_every_mask_is_taken_as_it_is() -> None:
    matte = Matte(MatteSettings(steadiness=0))
    for index in range(4):
        mask, frame = np.clip(0.5 + 5 * noise(index), 0, 1), bgr_frame(GREY, index=index)
        np.testing.assert_allclose(matte(mask, frame), Matte()(mask, frame), atol=1e-5)


def test_a_still_owes_nothing_to_the_picture_before_it() -> None:
    matte = Matte()
    for index in range(4):
        mask, frame = 0.5 + noise(index), bgr_frame(GREY, index=index, still=True)
        np.testing.assert_array_equal(matte(mask, frame), Matte()(mask, frame))


@given(sides, sides, st.integers(0, 99), st.sampled_from([0.0, 0.03, 0.97, 1.0]))
def test_sure_masks_become_exactly_nothing_or_all_on_any_picture(
    width: int, height: int, seed: int, probability: float
) -> None:
    frame = frame_of(random_planes("yuv420p", width, height, seed), "yuv420p")
    mask = np.full((96, 96), probability, np.float32)
    mask += np.random.default_rng(seed).uniform(-0.02, 0.02, mask.shape).astype(np.float32)
    alpha = Matte()(np.clip(mask, 0, 1), frame)
    assert (alpha.shape, alpha.dtype) == ((height, width), np.float32)
    assert (alpha == round(probability)).all()


def test_away_from_the_edge_the_alpha_is_exactly_nothing_or_all() -> None:
    mask = np.full((96, 96), 0.03, np.float32)
    mask[:, 48:] = 0.97
    frame = bgr_frame(random_planes("bgr24", 384, 384, 5)[0])
    alpha = Matte()(cv2.GaussianBlur(mask, (5, 5), 1), frame)
    assert (alpha[:, :140] == 0).all()
    assert (alpha[:, 244:] == 1).all()


def test_the_edge_is_drawn_where_the_picture_has_it() -> None:
    """The mask is 4 times coarser and a pixel off; the picture's edge wins."""
    picture = np.full((384, 384, 3), 60, np.uint8)
    picture[:, 196:] = 180
    mask = np.zeros((96, 96), np.float32)
    mask[:, 48:] = 1  # that is 192
    alpha = Matte()(cv2.GaussianBlur(mask, (7, 7), 1.5), bgr_frame(picture))
    crossing = (alpha[192] > 0.5).argmax()
    assert abs(int(crossing) - 196) <= 1
    assert alpha[192, 196] - alpha[192, 195] > 0.25, "the edge is a ramp"


@given(sides, sides, st.integers(1, 130), st.integers(1, 130), st.integers(0, 99))
def test_any_sizes_give_an_alpha_of_the_frame(
    width: int, height: int, mask_width: int, mask_height: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random((mask_height, mask_width), np.float32)
    matte = Matte()
    for index in range(2):
        frame = frame_of(random_planes("yuv444p", width, height, seed), "yuv444p", index=index)
        alpha = matte(mask, frame)
        assert (alpha.shape, alpha.dtype) == ((height, width), np.float32)
        assert 0 <= alpha.min() <= alpha.max() <= 1


def test_the_engines_mask_is_not_written_to() -> None:
    matte = Matte()
    for index in range(3):
        mask = np.clip(0.5 + noise(index), 0, 1)
        mask.flags.writeable = False
        kept = mask.copy()
        matte(mask, bgr_frame(GREY, index=index))
        np.testing.assert_array_equal(mask, kept)


def test_a_mask_of_another_size_begins_anew() -> None:
    matte = Matte()
    matte(np.zeros((96, 96), np.float32), bgr_frame(GREY))
    assert matte(np.full((48, 64), 0.5, np.float32), bgr_frame(GREY, index=1)).mean() > 0.4
