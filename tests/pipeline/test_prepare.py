"""The network's input: the right colours, from every kind of frame, as the model wants them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import yuv_of
from frames import FORMATS, bgr_frame, formats, frame_of, plane_sizes, random_planes, sides
from hypothesis import given
from hypothesis import strategies as st

from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.frame import PixelFormat
from seg_stream.pipeline.prepare import prepare

NCHW = TensorSpec("pixels", (1, 3, 48, 64), "float32", "NCHW", "pixels")
NHWC = TensorSpec("pixels", (1, 48, 64, 3), "float32", "NHWC", "pixels")
PLAIN = ModelInfo(name="plain")

MATRIX = {"601": 6, "709": 1, "2020": 9}

colours = st.tuples(*[st.integers(0, 255)] * 3)


@given(colours)
def test_a_pictures_colour_arrives_as_it_is(rgb: tuple[int, int, int]) -> None:
    tensor = prepare(bgr_frame(np.full((100, 200, 3), rgb[::-1], np.uint8)), NCHW, PLAIN)
    for channel in range(3):
        assert (tensor[0, channel] == rgb[channel]).all()


@given(colours, st.sampled_from(list(MATRIX)), st.booleans(), st.sampled_from(FORMATS[1:]))
def test_a_videos_colour_arrives_by_its_tags(
    rgb: tuple[int, int, int], matrix: str, full_range: bool, format: PixelFormat
) -> None:
    colour = Colour(MATRIX[matrix], 2 if full_range else 1)
    values = yuv_of(rgb, matrix, full_range)
    planes = tuple(
        np.full(size, value, np.uint8)
        for size, value in zip(plane_sizes(format, 200, 100), values, strict=True)
    )
    tensor = prepare(frame_of(planes, format, colour=colour), NCHW, PLAIN)
    for channel in range(3):
        # Whole steps of Y, U and V are up to two of R, G or B.
        assert np.abs(tensor[0, channel] - rgb[channel]).max() <= 2.5


@pytest.mark.parametrize(("height", "matrix"), [(576, "601"), (720, "709"), (1080, "709")])
def test_an_untagged_video_is_read_as_players_do(height: int, matrix: str) -> None:
    rgb = (200, 60, 90)
    planes = tuple(
        np.full(size, value, np.uint8)
        for size, value in zip(plane_sizes("yuv420p", 64, height), yuv_of(rgb, matrix), strict=True)
    )
    tensor = prepare(frame_of(planes, "yuv420p"), NCHW, PLAIN)
    np.testing.assert_allclose(tensor[0, :, 0, 0], rgb, atol=2.5)


@pytest.mark.parametrize("format", FORMATS)
def test_the_whole_picture_is_squeezed_and_stays_upright(format: PixelFormat) -> None:
    image = np.zeros((300, 500, 3), np.uint8)
    image[:150, :250] = 250  # top left
    image[150:, 250:] = 120  # bottom right
    planes: tuple[np.ndarray, ...] = (image,)
    if format != "bgr24":
        sizes = plane_sizes(format, 500, 300)
        neutral = [np.full(size, 128, np.uint8) for size in sizes[1:]]
        planes = (image[:, :, 0], *neutral)
    full = Colour(6, 2)
    tensor = prepare(frame_of(planes, format, colour=full), NCHW, PLAIN)
    for rows, columns, value in [
        (slice(0, 23), slice(0, 31), 250),
        (slice(25, 48), slice(33, 64), 120),
        (slice(0, 23), slice(33, 64), 0),
        (slice(25, 48), slice(0, 31), 0),
    ]:
        np.testing.assert_allclose(tensor[0, :, rows, columns], value, atol=1)


def test_shrinking_averages_instead_of_skipping() -> None:
    """A fine check pattern becomes grey; taken point by point it would flicker."""
    image = np.indices((480, 640)).sum(axis=0) % 2 * 255
    tensor = prepare(bgr_frame(np.dstack([image] * 3).astype(np.uint8)), NCHW, PLAIN)
    assert tensor.std() < 4
    assert abs(tensor.mean() - 127.5) < 2


@pytest.mark.parametrize("lines", ["upright", "level"])
@pytest.mark.parametrize(
    ("size", "to"),
    [
        *(((640, 480), (224, 128)), ((640, 480), (256, 128)), ((960, 540), (224, 128))),
        *(((720, 1280), (224, 128)), ((341, 192), (224, 128)), ((300, 200), (224, 128))),
        *(((256, 700), (256, 128)), ((341, 192), (256, 128))),
    ],
)
def test_thin_lines_reach_the_network(
    size: tuple[int, int], to: tuple[int, int], lines: str
) -> None:
    upright = lines == "upright"
    across, along = (0, 1) if upright else (1, 0)
    spec = TensorSpec("pixels", (1, 3, *to[::-1]), "float32", "NCHW", "pixels")
    for at in range(size[across]):
        image = np.zeros((*size[::-1], 3), np.uint8)
        image[(slice(None), at) if upright else at] = 255
        found = prepare(bgr_frame(image), spec, PLAIN)[0, 0].sum(axis=along).mean()
        assert found > 0.5 * 255 * to[across] / size[across], at


def test_the_model_is_fed_as_it_describes_itself() -> None:
    image = random_planes("bgr24", 64, 48, 3)[0]
    rgb = image[:, :, ::-1].astype(np.float32)
    info = ModelInfo(
        name="x", input_layout="NHWC", input_colour="BGR", input_mean=(1, 2, 3), input_std=(4, 5, 6)
    )
    tensor = prepare(bgr_frame(image), NHWC, info)
    expected = (rgb[:, :, ::-1] - (1, 2, 3)) / (4, 5, 6)
    np.testing.assert_allclose(tensor[0], expected, rtol=1e-5, atol=1e-5)
    info = ModelInfo(name="x", input_std=(255, 255, 255))
    tensor = prepare(bgr_frame(image), NCHW, info)
    np.testing.assert_allclose(tensor[0], rgb.transpose(2, 0, 1) / 255, rtol=1e-5)


@given(formats, sides, sides, st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
def test_any_sizes_give_a_tensor_that_the_engine_takes(
    format: PixelFormat, width: int, height: int, to_width: int, to_height: int, seed: int
) -> None:
    planes = random_planes(format, width, height, seed)
    kept = [plane.copy() for plane in planes]
    spec = TensorSpec("pixels", (1, 3, to_height, to_width), "float32", "NCHW", "pixels")
    tensor = prepare(frame_of(planes, format), spec, PLAIN)
    assert (tensor.shape, tensor.dtype) == (spec.shape, np.float32)
    assert tensor.flags.c_contiguous
    assert 0 <= tensor.min() <= tensor.max() <= 255
    for plane, before in zip(planes, kept, strict=True):
        np.testing.assert_array_equal(plane, before)
        assert not np.shares_memory(tensor, plane)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (641, 361), (127, 95)])
def test_the_shortcut_for_shrinking_gives_the_mean_of_the_area(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (9, 16, 3), np.uint8)
    image = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    tensor = prepare(bgr_frame(image), NCHW, PLAIN)
    area = cv2.resize(image[:, :, ::-1].astype(np.float32), (64, 48), interpolation=cv2.INTER_AREA)
    difference = np.abs(tensor[0].transpose(1, 2, 0) - area)
    assert difference.max() < 6
    assert difference.mean() < 1
