"""The kernels that decide by colour where the network is unsure, against the CPU on real frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from real_frames import picture_bgr, real_frame

from seg_stream.pipeline.device.prepare import Guide
from seg_stream.pipeline.device.unsure import DeviceUnsure
from seg_stream.pipeline.frame import Frame, PixelFormat
from seg_stream.pipeline.types import FloatImage
from seg_stream.pipeline.unsure import decide_by_colour

MOST = 1e-3
"""A quarter of a step of alpha, for the matte makes probabilities twice as steep."""

SIZES = [(256, 128), (97, 65), (33, 31), (3, 5), (2, 2), (1, 9), (7, 1), (1, 1)]


def noise(width: int, height: int, seed: int) -> npt.NDArray[np.float32]:
    """Smooth, -1..1."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (height // 12 + 2, width // 12 + 2))
    return np.asarray(cv2.resize(coarse, (width, height)), np.float32)


def doubtful(width: int, height: int, seed: int = 0) -> FloatImage:
    """A person of whom half is unsure, as is half of the room: from 0.3 to 0.7."""
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height), (width // 3, height * 3 // 4), 0, 0, 360, 1.0, -1)
    where = noise(width, height, seed)
    return np.where(where > 0, 0.5 + 0.2 * noise(width, height, seed + 1), mask)


def on_device(gpu: Any, mask_hw: FloatImage, frame: Frame) -> FloatImage:
    height, width = mask_hw.shape
    mask, decided = gpu.memory(4 * mask_hw.size), gpu.memory(4 * mask_hw.size)
    mask.numbers(np.float32, height, width)[:] = mask_hw
    guide: Any = Guide(gpu, width, height)
    small = [plane.reshape(height, width, -1) for plane in frame.shrunk(width, height)]
    guide.colours.numbers(np.uint8, 3, height, width)[:] = np.dstack(small).transpose(2, 0, 1)
    guide.bgr = frame.format == "bgr24"
    DeviceUnsure(gpu, width, height).enqueue(mask, guide, decided, gpu.stream())
    made: FloatImage = decided.numbers(np.float32, height, width).copy()
    return made


def compare(gpu: Any, mask_hw: FloatImage, frame: Frame) -> FloatImage:
    expected = decide_by_colour(mask_hw, frame.shrunk(*mask_hw.shape[::-1]))
    assert np.abs(on_device(gpu, mask_hw, frame) - expected).max() <= MOST
    return expected


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_is_the_cpus(gpu: Any, format: PixelFormat, width: int, height: int) -> None:
    for seed in (0, 1, 3):  # in these masks colour has much to say in any of the real frames
        mask = doubtful(width, height, seed)
        decided = compare(gpu, mask, real_frame(format, 640, 360, index=seed))
        if width > 30:
            assert np.abs(decided - mask).max() > 0.3


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize("value", [0.05, 0.3, 0.5, 0.95])
def test_a_mask_that_is_alike_everywhere_is_kept(
    gpu: Any, format: PixelFormat, value: float
) -> None:
    mask = np.full((37, 64), value, np.float32)
    np.testing.assert_allclose(compare(gpu, mask, real_frame(format, 320, 180)), mask, atol=1e-6)


def test_a_mask_that_is_sure_everywhere_is_kept_as_it_is(gpu: Any) -> None:
    mask = np.where(noise(65, 33, 1) > 0, 0.999, 0.004).astype(np.float32)
    mask[3, 5], mask[3, 6] = 1.005, -0.005  # an engine may
    for more in (mask, np.where(noise(65, 33, 2) > 0.5, np.float32(0.5), mask)):
        frame = real_frame("yuv420p", 320, 180)
        compare(gpu, more, frame)
        made, sure = on_device(gpu, more, frame), more != 0.5
        np.testing.assert_array_equal(made[sure], more[sure])


def grey_bgr() -> npt.NDArray[Any]:
    return np.dstack([cv2.cvtColor(picture_bgr(), cv2.COLOR_BGR2GRAY)] * 3)


def stripes_bgr() -> npt.NDArray[Any]:
    image = np.full((360, 640, 3), 250, np.uint8)
    image[:, ::8] = image[:, 1::8] = image[:, 2::8] = 2
    return image


@pytest.mark.parametrize(
    "image", [grey_bgr, stripes_bgr, lambda: np.full((99, 99, 3), 7, np.uint8)]
)
def test_colours_that_say_the_same_thrice_are_no_matter_of_rounding(gpu: Any, image: Any) -> None:
    frame = replace(real_frame("bgr24", 9, 9), planes=(image(),))
    for seed in range(3):
        compare(gpu, doubtful(256, 128, seed), frame)
