"""The composite: untouched where it is sure, right where it mixes, in every pixel format."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from frames import FORMATS, formats, frame_of, plane_sizes, random_planes, sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.pipeline.blend import blend
from seg_stream.pipeline.frame import PixelFormat
from seg_stream.pipeline.types import FloatImage

Colour = tuple[int, int, int]

seeds = st.integers(0, 2**32 - 1)


def disc(width: int, height: int) -> FloatImage:
    """An alpha of two thirds of the height, with a soft edge of five pixels."""
    distance = np.hypot(*np.mgrid[-height / 2 : height / 2, -width / 2 : width / 2])
    return np.clip((height / 3 - distance) / 5 + 0.5, 0, 1).astype(np.float32)


@given(formats, sides, sides, seeds)
def test_where_alpha_is_one_the_frames_bytes_come_out(
    format: PixelFormat, width: int, height: int, seed: int
) -> None:
    frame = random_planes(format, width, height, seed)
    background = random_planes(format, width, height, seed + 1)
    result = blend(frame, np.ones((height, width), np.float32), background)
    for plane, expected in zip(result, frame, strict=True):
        np.testing.assert_array_equal(plane, expected)


@given(formats, sides, sides, seeds)
def test_where_alpha_is_zero_the_backgrounds_bytes_come_out(
    format: PixelFormat, width: int, height: int, seed: int
) -> None:
    frame = random_planes(format, width, height, seed)
    background = random_planes(format, width, height, seed + 1)
    result = blend(frame, np.zeros((height, width), np.float32), background)
    for plane, expected in zip(result, background, strict=True):
        np.testing.assert_array_equal(plane, expected)


@given(formats, sides, sides, seeds, st.floats(0, 1), st.floats(0, 1))
def test_person_and_background_stand_side_by_side_untouched(
    format: PixelFormat, width: int, height: int, seed: int, left: float, top: float
) -> None:
    """A box of sure person: exact in full planes, and in chroma but for the pixel at its edge."""
    x, y = round(left * width), round(top * height)
    alpha = np.zeros((height, width), np.float32)
    alpha[y:, x:] = 1
    frame = random_planes(format, width, height, seed)
    background = random_planes(format, width, height, seed + 1)
    for index, plane in enumerate(blend(frame, alpha, background)):
        rows, columns = plane.shape[:2]
        at_y, at_x = y * rows / height, x * columns / width
        slack = 0 if (rows, columns) == (height, width) else 1
        inside = np.index_exp[int(np.ceil(at_y)) + slack :, int(np.ceil(at_x)) + slack :]
        np.testing.assert_array_equal(plane[inside], frame[index][inside])
        for outside in (
            np.index_exp[: max(0, int(at_y) - slack)],
            np.index_exp[:, : max(0, int(at_x) - slack)],
        ):
            np.testing.assert_array_equal(plane[outside], background[index][outside])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("soft", [3, 60], ids=["thin edge", "wide edge"])
def test_sure_pixels_stay_untouched_beside_mixed_ones(format: PixelFormat, soft: int) -> None:
    """However much is mixed elsewhere, and whichever way it is blended there."""
    alpha = np.tile(np.clip((np.arange(160) - 50) / soft, 0, 1), (120, 1)).astype(np.float32)
    frame = random_planes(format, 160, 120, 1)
    background = random_planes(format, 160, 120, 2)
    for index, plane in enumerate(blend(frame, alpha, background)):
        columns = plane.shape[1]
        begin, end = 50 * columns // 160 - 1, -(-(50 + soft) * columns // 160) + 1
        np.testing.assert_array_equal(plane[:, :begin], background[index][:, :begin])
        np.testing.assert_array_equal(plane[:, end:], frame[index][:, end:])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 480), (1366, 768), (97, 65)])
def test_small_planes_that_the_frame_keeps_change_nothing(
    format: PixelFormat, width: int, height: int
) -> None:
    frame = frame_of(random_planes(format, width, height, 1), format)
    background = random_planes(format, width, height, 2)
    alpha = disc(width, height)
    made = blend(frame.planes, alpha, background)
    kept = blend(frame.planes, alpha, background, frame.shrunk)
    for plane, expected in zip(kept, made, strict=True):
        np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("format", FORMATS)
def test_a_thin_edge_takes_little_of_the_old_room_along(format: PixelFormat) -> None:
    """A composite whose parts are known: person over old room becomes person over new room."""
    alpha = disc(160, 120)
    person, room, new = (180, 140, 120), (30, 200, 60), (220, 90, 160)
    alphas = [
        cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_AREA)
        for size in plane_sizes(format, 160, 120)
    ]
    opaque = [np.zeros_like(each) for each in alphas]
    result = blend(_over(room, alphas, person), alpha, _over(new, opaque, person))
    plain = [
        [(a * p + (1 - a) * r) * a + n * (1 - a) for p, r, n in zip(person, room, new, strict=True)]
        for a in alphas
    ]
    for index, (plane, expected) in enumerate(zip(result, _over(new, alphas, person), strict=True)):
        mixed = (alphas[index] > 0.02) & (alphas[index] < 0.98)
        naive = np.dstack(plain[0]) if format == "bgr24" else plain[index][index]
        error, naive_error = (np.abs(x - expected.astype(float))[mixed] for x in (plane, naive))
        assert naive_error.mean() > 8, "there is nothing to estimate"
        assert error.mean() < 0.35 * naive_error.mean()


def _over(back: Colour, alphas: list[np.ndarray], person: Colour) -> tuple[np.ndarray, ...]:
    """The person over one colour, as planes."""
    each = alphas * 3 if len(alphas) == 1 else alphas
    parts = [
        np.rint(a * front + (1 - a) * behind).astype(np.uint8)
        for a, front, behind in zip(each, person, back, strict=True)
    ]
    return (np.dstack(parts),) if len(alphas) == 1 else tuple(parts)


@given(formats, sides, sides, seeds)
def test_any_alpha_gives_planes_of_the_frames_kind_and_writes_to_nothing_else(
    format: PixelFormat, width: int, height: int, seed: int
) -> None:
    frame = random_planes(format, width, height, seed)  # neither of them can be written to
    background = random_planes(format, width, height, seed + 1)
    alpha = np.random.default_rng(seed).random((height, width), np.float32)
    alpha.flags.writeable = False
    for plane, original, behind in zip(
        blend(frame, alpha, background), frame, background, strict=True
    ):
        assert (plane.shape, plane.dtype) == (original.shape, np.uint8)
        assert not np.shares_memory(plane, original)
        assert not np.shares_memory(plane, behind)
        low, high = np.minimum(original, behind), np.maximum(original, behind)
        if alpha.size > 1000:  # so much is mixed that it is plainly blended
            assert (plane >= low - np.minimum(low, 1)).all()
            assert (plane.astype(int) <= high.astype(int) + 1).all()


def test_arrays_may_lie_in_memory_as_they_like() -> None:
    """Mirrored, or column by column."""
    planes = random_planes("yuv420p", 64, 48, 1)
    room = random_planes("yuv420p", 64, 48, 2)
    alpha = disc(64, 48)
    expected = blend(planes, alpha, room)
    odd = tuple(np.asfortranarray(plane) for plane in planes)
    turned = tuple(plane[:, ::-1].copy()[:, ::-1] for plane in room)
    for one, other in zip(blend(odd, np.asfortranarray(alpha), turned), expected, strict=True):
        np.testing.assert_array_equal(one, other)
