"""Between PyAV's pictures and our planes: nothing is lost, colours stay."""

from __future__ import annotations

import av
import numpy as np
import pytest
from clips import picture_of, planes_of, solid, yuv_of
from frames import formats, frame_of, random_planes, sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.pipeline.colour import Colour, Matrix, yuv_to_rgb
from seg_stream.pipeline.picture import bgr_to_planes, to_bgr, to_native, to_picture
from seg_stream.pipeline.picture import planes_of as views_of

MATRIX = {"601": 6, "709": 1, "2020": 9}
UNTAGGED = (2, 0, 2, 2)

colours = st.tuples(*[st.integers(0, 255)] * 3)
matrices = st.sampled_from(list(MATRIX))


@given(formats.filter(lambda name: name != "bgr24"), sides, sides, st.integers(0, 99))
def test_planes_go_into_a_picture_and_come_out_the_same(
    format: str, width: int, height: int, seed: int
) -> None:
    planes = random_planes(format, width, height, seed)
    picture = to_picture(frame_of(planes, format))
    assert (picture.width, picture.height, picture.format.name) == (width, height, format)
    for back, again, plane in zip(views_of(picture), planes_of(picture), planes, strict=True):
        np.testing.assert_array_equal(back, plane)
        np.testing.assert_array_equal(again, plane)


@given(sides, sides, st.integers(0, 99))
def test_a_bgr_picture_is_read_row_by_row(width: int, height: int, seed: int) -> None:
    image = random_planes("bgr24", width, height, seed)[0]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "bgr24")
    (plane,) = views_of(picture)
    np.testing.assert_array_equal(plane, image)


@pytest.mark.parametrize("format", ["rgb24", "bgr0", "gbrp", "rgba"])
def test_rgb_pictures_become_bgr(format: str) -> None:
    image = random_planes("bgr24", 31, 17, 0)[0]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "bgr24")
    name, native = to_native(picture.reformat(format=format))
    assert name == native.format.name == "bgr24"
    np.testing.assert_array_equal(views_of(native)[0], image)


@pytest.mark.parametrize(
    ("format", "size", "expected"),
    [
        ("yuv420p", (32, 18), "yuv420p"),
        ("yuv422p", (32, 18), "yuv422p"),
        ("yuv444p", (32, 18), "yuv444p"),
        ("yuvj420p", (32, 18), "yuv420p"),
        ("yuvj444p", (31, 17), "yuv444p"),
        ("yuv420p", (31, 18), "yuv444p"),
        ("yuv422p", (32, 17), "yuv444p"),
        ("yuv420p10le", (32, 18), "yuv420p"),
        ("yuv422p10le", (32, 18), "yuv420p"),
    ],
)
def test_other_pictures_become_the_nearest_of_ours_in_the_same_colours(
    format: str, size: tuple[int, int], expected: str
) -> None:
    yuv = (190, 100, 150)
    for tags in (UNTAGGED, (1, 1, 1, 1), (6, 2, 6, 6)):
        if format.startswith("yuvj") and tags[1] != 2:
            continue
        picture = picture_of(solid(format, *size, yuv), format, tags)
        name, native = to_native(picture)
        assert name == expected
        for plane, value in zip(views_of(native), yuv, strict=True):
            assert np.abs(plane.astype(int) - value).max() <= 1


@given(colours, matrices, st.booleans(), formats.filter(lambda name: name != "bgr24"))
def test_a_colour_goes_to_planes_and_back(
    rgb: tuple[int, int, int], matrix: str, full_range: bool, format: str
) -> None:
    colour = Colour(MATRIX[matrix], 2 if full_range else 1)
    image = np.full((10, 14, 3), rgb[::-1], np.uint8)
    planes = bgr_to_planes(image, format, colour)
    back = to_bgr(frame_of(planes, format, colour=colour))
    assert np.abs(back.astype(int) - rgb[::-1]).max() <= 5  # a step of U or V is 2 of B or R


@given(colours, matrices, st.booleans())
def test_the_matrix_to_rgb_is_that_of_the_standards(
    rgb: tuple[int, int, int], matrix: str, full_range: bool
) -> None:
    to_rgb = yuv_to_rgb({m.name[2:]: m for m in Matrix}[matrix], full_range)
    back = to_rgb @ (*yuv_of(rgb, matrix, full_range), 1.0)
    assert np.abs(back - rgb).max() <= 2


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", list(Matrix))
def test_black_and_white_are_where_they_should_be(matrix: Matrix, full_range: bool) -> None:
    black, white = (0, 255) if full_range else (16, 235)
    to_rgb = yuv_to_rgb(matrix, full_range)
    np.testing.assert_allclose(to_rgb @ (black, 128, 128, 1.0), [0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(to_rgb @ (white, 128, 128, 1.0), [255, 255, 255], atol=1e-3)


@pytest.mark.parametrize("size", [(32, 18), (33, 19)])
def test_a_cameras_picture_becomes_bt_709(size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), (40, 90, 200), np.uint8)
    picture = to_picture(frame_of((image,), "bgr24"))
    assert picture.format.name == ("yuv444p" if size[0] % 2 else "yuv420p")
    for plane, value in zip(planes_of(picture), yuv_of((200, 90, 40), "709"), strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1
