"""Where the network is unsure: what the colours around say, and when they say nothing."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from frames import sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.pipeline.types import FloatImage, Image
from seg_stream.pipeline.unsure import decide_by_colour, drop_unsure_parts

SIZE = (256, 128)
WALL, SLEEVE, SKIN = (205, 120, 125), (40, 128, 128), (150, 110, 150)  # Y, U, V


def scene(*shapes: tuple[npt.NDArray[np.bool_], tuple[int, int, int]], noise: float = 2) -> Image:
    """A wall with shapes before it, (H, W, 3) Y, U, V, and a camera's noise."""
    image = np.empty((SIZE[1], SIZE[0], 3), np.float32)
    image[:] = WALL
    for where, colour in shapes:
        image[where] = colour
    image += np.random.default_rng(1).normal(0, noise, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def planes(image: Image) -> list[Image]:
    return [np.ascontiguousarray(image[..., channel]) for channel in range(3)]


def box(left: int, top: int, right: int, bottom: int) -> npt.NDArray[np.bool_]:
    where = np.zeros((SIZE[1], SIZE[0]), np.bool_)
    where[top:bottom, left:right] = True
    return where


def soft(where: npt.NDArray[np.bool_]) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(where.astype(np.float32), (0, 0), 1.5), np.float32)


TORSO, ARM = box(90, 20, 160, 128), box(160, 40, 190, 80)


def test_an_elbow_of_the_sleeves_colour_is_filled() -> None:
    mask = soft(TORSO | ARM)
    hole = box(168, 48, 186, 72)
    mask[hole] = 0.25
    decided = decide_by_colour(mask, planes(scene((TORSO | ARM, SLEEVE))))
    assert np.median(decided[hole]) > 0.9


def test_the_wall_beneath_an_elbow_is_left_out() -> None:
    mask = soft(TORSO | ARM)
    wall = box(163, 84, 185, 110)
    mask[wall] = 0.7
    decided = decide_by_colour(mask, planes(scene((TORSO | ARM, SLEEVE))))
    assert np.median(decided[wall]) < 0.1


def test_a_forearm_unlike_anything_around_is_not_given_to_the_room() -> None:
    """Skin, of which the network is sure nowhere near: only that it is not the wall."""
    mask = soft(TORSO)
    mask[ARM] = 0.5
    decided = decide_by_colour(mask, planes(scene((TORSO, SLEEVE), (ARM, SKIN))))
    assert np.median(decided[ARM]) > 0.5


def test_a_room_of_the_persons_colour_says_nothing() -> None:
    mask = soft(TORSO)
    doubt = box(164, 40, 200, 80)
    mask[doubt] = 0.4
    decided = decide_by_colour(mask, planes(scene(noise=0)))
    assert abs(float(np.median(decided[doubt])) - 0.4) < 0.1


@pytest.mark.parametrize("doubt", [0.2, 0.7])
def test_nor_does_it_between_the_two(doubt: float) -> None:
    """A strip between sure person and sure room, all of one colour: no crack, and no fringe."""
    mask = TORSO.astype(np.float32)
    strip = box(160, 0, 168, 128)
    mask[strip] = doubt
    decided = decide_by_colour(mask, planes(scene(noise=1)))
    assert np.abs(decided[strip] - doubt).max() < 0.12
    assert np.abs(decided[strip] - doubt).mean() < 0.05


def test_a_hand_behind_an_unsure_sleeve_is_kept() -> None:
    """Colour joins them before parts are judged."""
    mask = soft(TORSO)
    sleeve, hand = box(160, 40, 185, 60), box(185, 40, 200, 60)
    mask[sleeve], mask[hand] = 0.22, 0.8
    image = scene((TORSO | sleeve, SLEEVE), (hand, SKIN))
    decided = decide_by_colour(mask, planes(image))
    kept = drop_unsure_parts(decided, mask, 0.25, 0.9)
    assert np.median(kept[sleeve]) > 0.8
    assert np.median(kept[hand]) > 0.7


def test_with_nobody_near_the_network_is_believed() -> None:
    mask = np.zeros((SIZE[1], SIZE[0]), np.float32)
    mask[ARM] = 0.6
    decided = decide_by_colour(mask, planes(scene((ARM, SKIN))))
    np.testing.assert_allclose(decided[ARM], 0.6, atol=1e-3)


def test_mixed_pixels_get_the_share_of_the_person() -> None:
    """A soft outline that the network only guesses, two pixels to the side."""
    alpha = cv2.GaussianBlur(TORSO.astype(np.float32), (0, 0), 2)
    image = alpha[..., None] * np.float32(SLEEVE) + (1 - alpha[..., None]) * np.float32(WALL)
    guess = np.roll(alpha, 2, axis=1)
    decided = decide_by_colour(
        np.asarray(guess, np.float32), planes(np.rint(image).astype(np.uint8))
    )
    edge = (np.abs(alpha - 0.5) < 0.3) & (np.abs(guess - 0.5) < 0.3)
    edge[118:] = False
    assert np.abs(decided - alpha)[edge].mean() < 0.3 * np.abs(guess - alpha)[edge].mean()


@pytest.mark.parametrize("bgr", [False, True])
def test_what_is_sure_stays(bgr: bool) -> None:
    rng = np.random.default_rng(3)
    mask = rng.choice(np.float32([0, 0.04, 0.5, 0.97, 1]), (128, 256))
    image = rng.integers(0, 256, (128, 256, 3), np.uint8)
    decided = decide_by_colour(mask, [image] if bgr else planes(image))
    sure = np.abs(mask - 0.5) > 0.45
    np.testing.assert_array_equal(decided[sure], mask[sure])
    assert (decided[~sure] != mask[~sure]).any()


def test_colours_are_told_apart_alike_as_bgr_and_as_yuv() -> None:
    mask = soft(TORSO | ARM)
    mask[box(168, 48, 186, 72)] = 0.15
    mask[box(163, 84, 185, 110)] = 0.7
    image = scene((TORSO | ARM, SLEEVE))
    bgr = cv2.cvtColor(image[..., [0, 2, 1]], cv2.COLOR_YCrCb2BGR)
    found = decide_by_colour(mask, [np.asarray(bgr, np.uint8)])
    assert np.abs(found - decide_by_colour(mask, planes(image))).mean() < 0.01


@given(sides, sides, st.integers(0, 9), st.booleans(), st.booleans())
def test_any_size_gives_a_mask(width: int, height: int, seed: int, flat: bool, bgr: bool) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width), np.float32) * np.float32(1.002) - np.float32(0.001)
    image = np.full((height, width, 3), seed * 25, np.uint8)
    if not flat:
        image = rng.integers(0, 256, image.shape, np.uint8)
    before = mask.copy()
    decided = decide_by_colour(mask, [image] if bgr else planes(image))
    assert decided.shape == mask.shape and decided.dtype == np.float32
    assert decided.min() >= -0.001 and decided.max() <= 1.001  # NaN is neither
    np.testing.assert_array_equal(mask, before)


def test_a_part_is_judged_by_what_the_network_said() -> None:
    """Colour makes a lamp sure that the network was not sure of; it is left out all the same."""
    mask = np.zeros((96, 96), np.float32)
    mask[30:90, 20:60] = 0.95
    mask[5:15, 75:90] = 0.6
    decided = np.where(mask > 0.5, 1, mask).astype(np.float32)
    kept = drop_unsure_parts(decided, mask, 0.25, 0.9)
    assert kept[50, 40] == 1
    assert kept[10, 80] == 0
