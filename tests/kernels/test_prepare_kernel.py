"""The kernel that makes the network's input, against the CPU's on real frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from real_frames import real_frame

from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.kernels.arguments import Plane
from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.device.prepare import DevicePrepare, Guide, Shrinker, steps
from seg_stream.pipeline.frame import Frame, PixelFormat
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.types import unit

PLAIN = ModelInfo(name="plain")


def spec_of(width: int, height: int, layout: Any = "NCHW", dtype: str = "float32") -> TensorSpec:
    shape = (1, 3, height, width) if layout == "NCHW" else (1, height, width, 3)
    return TensorSpec("input", shape, dtype, layout, "pixels")


def on_device(gpu: Any, frame: Frame, spec: TensorSpec, info: ModelInfo) -> Any:
    """The tensor and the guide that the kernel makes of a frame."""
    layout = FrameLayout.of(frame)
    pinned, memory, stream = gpu.pinned(layout.size), gpu.memory(layout.size), gpu.stream()
    layout.fill(pinned.array, frame.planes)
    gpu.upload(memory, pinned, stream)
    tensor = gpu.memory(int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize)
    guide = Guide(gpu, spec.width, spec.height)
    stage = DevicePrepare(gpu, spec, info, layout)
    stage.enqueue(layout.planes(memory.address), frame.colour, tensor.address, stream, guide)
    made = tensor.numbers(spec.dtype, *spec.shape).astype(np.float32)
    return made, luma_of(guide, spec.width, spec.height)


def luma_of(guide: Guide, width: int, height: int) -> Any:
    memory: Any = guide.luma
    return memory.numbers(np.float32, height, width).copy()


def check_tensor(made: Any, frame: Frame, spec: TensorSpec) -> None:
    assert np.abs(made - prepare(frame, spec, PLAIN)).max() <= 1


SIZES = [
    *((1920, 1080), (1280, 720), (640, 480), (1366, 768), (97, 65), (301, 640), (255, 161)),
    *((1, 1), (3, 700), (640, 100), (512, 240), (256, 700), (513, 319), (256, 160)),
]
ROWS = [160, 128]  # of the network's input


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("rows", ROWS)
def test_the_small_planes_are_the_cpus(
    gpu: Any, format: PixelFormat, width: int, height: int, rows: int
) -> None:
    frame = real_frame(format, width, height)
    layout, stream = FrameLayout.of(frame), gpu.stream()
    pinned, memory, tensor = gpu.pinned(layout.size), gpu.memory(layout.size), gpu.memory(491520)
    guide: Any = Guide(gpu, 256, rows)
    layout.fill(pinned.array, frame.planes)
    gpu.upload(memory, pinned, stream)
    planes, shrinker = layout.planes(memory.address), Shrinker(gpu, layout, 256, rows)
    shrinker.enqueue(planes, stream, tensor=tensor.address)
    small = [plane.reshape(rows, 256, -1) for plane in frame.shrunk(256, rows)]
    made = tensor.numbers(np.float32, 3, rows, 256)
    difference = made - np.dstack(small).transpose(2, 0, 1)
    assert np.abs(difference).max() <= 1
    # Where an area's mean is close to a half, it is the order of sums that rounds it: as OpenCV's.
    assert (difference != 0).mean() < 1e-3
    shrinker.enqueue(planes, stream, guide=guide)  # for the matte alone
    np.testing.assert_array_equal(guide.colours.numbers(np.uint8, 3, rows, 256), made)
    assert guide.bgr == (format == "bgr24")


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p", "bgr24"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("rows", ROWS)
def test_it_is_the_cpus(gpu: Any, format: PixelFormat, width: int, height: int, rows: int) -> None:
    frame, spec = real_frame(format, width, height), spec_of(256, rows)
    tensor, guide = on_device(gpu, frame, spec, PLAIN)
    check_tensor(tensor, frame, spec)
    assert np.abs(guide - unit(frame.shrunk_luma(256, rows))).max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize(
    ("format", "width", "height"),
    [("yuv420p", 3840, 2160), ("yuv420p", 3841, 2163), ("bgr24", 3840, 2160)],
)
def test_it_is_the_cpus_at_4k(gpu: Any, format: PixelFormat, width: int, height: int) -> None:
    frame, spec = real_frame(format, width, height), spec_of(384, 224)
    tensor, guide = on_device(gpu, frame, spec, PLAIN)
    check_tensor(tensor, frame, spec)
    assert np.abs(guide - unit(frame.shrunk_luma(384, 224))).max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize("tags", [(1, 2), (9, 1), (6, 2)])
def test_the_colour_is_the_frames_own(gpu: Any, tags: tuple[int, int]) -> None:
    frame = real_frame("yuv420p", 640, 360, colour=Colour(*tags))
    spec = spec_of(96, 96)
    made = on_device(gpu, frame, spec, PLAIN)[0]
    check_tensor(made, frame, spec)
    other = real_frame("yuv420p", 640, 360, colour=Colour(*tags)).planes
    wrong = Frame(0, other, "yuv420p", Colour(1, 1), 0, frame.time_base, 0.0)
    assert np.abs(made - prepare(wrong, spec, PLAIN)).max() > 4


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_layout_type_scale_and_order_are_the_models(gpu: Any, layout: Any, dtype: str) -> None:
    info = ModelInfo(
        name="scaled",
        input_layout=layout,
        input_colour="BGR",
        input_mean=(100.0, 120.0, 140.0),
        input_std=(50.0, 60.0, 70.0),
    )
    frame, spec = real_frame("yuv420p", 640, 480), spec_of(128, 96, layout, dtype)
    made = on_device(gpu, frame, spec, info)[0]
    assert np.abs(made - prepare(frame, spec, info)).max() <= 1 / 50


def test_nv12_is_read_as_well(gpu: Any) -> None:
    frame, spec = real_frame("yuv420p", 640, 360), spec_of(128, 96)
    luma, u, v = (np.ascontiguousarray(plane) for plane in frame.planes)
    chroma = np.ascontiguousarray(np.stack([u, v], axis=2))
    planes = [
        Plane(luma.ctypes.data, 640, 1, 640, 360),
        Plane(chroma.ctypes.data, 640, 2, 320, 180),
        Plane(chroma.ctypes.data + 1, 640, 2, 320, 180),
    ]
    tensor = gpu.memory(3 * 96 * 128 * 4)
    stage = DevicePrepare(gpu, spec, PLAIN, FrameLayout.of(frame))
    stage.enqueue(planes, frame.colour, tensor.address, gpu.stream())
    made = tensor.numbers(np.float32, *spec.shape)
    check_tensor(made, frame, spec)


def test_even_sizes_take_one_pass(gpu: Any) -> None:
    on_device(gpu, real_frame("yuv420p", 1920, 1080), spec_of(256, 160), PLAIN)
    assert gpu.launched == ["prepare.prepare"]


def test_the_steps_are_those_of_shrink() -> None:
    assert steps(1920, 1080, 256, 160) == ([], 2)
    assert steps(1366, 768, 256, 160) == ([(1, 341, 192)], 0)
    assert steps(3841, 2163, 384, 224) == ([(0, 1920, 1081), (0, 960, 540)], 1)
    assert steps(100, 100, 256, 160) == ([], 0)
