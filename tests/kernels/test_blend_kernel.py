"""The kernels that composite and blur the room, against the CPU's on real frames."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from real_frames import picture_bgr, real_frame
from test_matte_kernel import person

from seg_stream.pipeline.backgrounds import BlurBackground, StillBackground
from seg_stream.pipeline.blend import blend, cut_out
from seg_stream.pipeline.device.blend import DeviceBlend, DeviceRoom
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.frame import Frame

Alpha = npt.NDArray[np.float32]


def alpha_of(frame: Frame) -> Alpha:
    """Soft at the edge, 0 and 1 elsewhere; values of a half, so that both sides see the same."""
    mask = np.clip(2 * person(96, 60) - 0.5, 0, 1).astype(np.float32)
    alpha = np.clip(3 * cv2.resize(mask, (frame.width, frame.height)) - 1, 0, 1)
    return alpha.astype(np.float16).astype(np.float32)


def on_device(gpu: Any, frame: Frame, alpha: Alpha, behind: Any, cut: bool = False) -> Any:
    layout, stream = FrameLayout.of(frame), gpu.stream()

    def resident(planes: Any) -> Any:
        pinned, memory = gpu.pinned(layout.size), gpu.memory(layout.size)
        layout.fill(pinned.array, planes)
        gpu.upload(memory, pinned, stream)
        return layout.planes(memory.address)

    planes = resident(frame.planes)
    alpha_memory = gpu.memory(2 * alpha.size)
    alpha_memory.numbers(np.float16, *alpha.shape)[:] = alpha
    target = gpu.memory(layout.size)
    if behind is None:
        behind = DeviceRoom(gpu, layout)
        behind.enqueue(planes, alpha_memory, stream)
    else:
        behind = resident(behind)
    DeviceBlend(gpu, layout).enqueue(
        planes, alpha_memory, layout.planes(target.address), stream, behind=behind, cut=cut
    )
    return [view.copy() for view in layout.views(target.array[: layout.size])]


def difference(made: Any, expected: Any) -> int:
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(made, expected, strict=True))


SIZES = [(1920, 1080), (1280, 720), (640, 480), (301, 201), (97, 65), (5, 3), (1, 1)]


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p", "bgr24"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_composite_is_the_cpus(gpu: Any, format: Any, width: int, height: int) -> None:
    frame = real_frame(format, width, height)
    alpha = alpha_of(frame)
    room = StillBackground(picture_bgr(index=40)[:, ::-1]).planes(frame, alpha)
    made = on_device(gpu, frame, alpha, room)
    assert difference(made, blend(frame.planes, alpha, room)) <= 1


def test_a_composite_at_4k_is_the_cpus(gpu: Any) -> None:
    frame = real_frame("yuv420p", 3840, 2160)
    alpha = alpha_of(frame)
    room = StillBackground(picture_bgr(index=40)[:, ::-1]).planes(frame, alpha)
    assert difference(on_device(gpu, frame, alpha, room), blend(frame.planes, alpha, room)) <= 1


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
def test_a_cut_out_is_the_cpus(gpu: Any, format: Any) -> None:
    frame = real_frame(format, 640, 480)
    alpha = alpha_of(frame)
    empty = [np.full_like(p, v) for p, v in zip(frame.planes, frame.black(), strict=True)]
    made = on_device(gpu, frame, alpha, empty, cut=True)
    expected = cut_out(frame.planes, alpha, frame.black())
    # Where alpha passes the step between nothing and the person's colour both are right.
    assert difference(made, expected) <= 1


def test_an_alpha_without_an_edge_is_plainly_blended(gpu: Any) -> None:
    frame = real_frame("yuv420p", 320, 240)
    alpha = np.full((240, 320), 0.5, np.float32)
    room = StillBackground(picture_bgr(index=40)).planes(frame, alpha)
    made = on_device(gpu, frame, alpha, room)
    assert difference(made, blend(frame.planes, alpha, room)) <= 1
    plain = [np.rint((a.astype(float) + b) / 2) for a, b in zip(frame.planes, room, strict=True)]
    assert difference(made, plain) <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_person_or_all_room_comes_out_unchanged(gpu: Any, value: float) -> None:
    frame = real_frame("yuv420p", 322, 242)
    alpha = np.full((242, 322), value, np.float32)
    room = StillBackground(picture_bgr(index=40)).planes(frame, alpha)
    made = on_device(gpu, frame, alpha, room)
    assert difference(made, frame.planes if value else room) == 0


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(3840, 2160), (1920, 1080), (1280, 720), (640, 480), (301, 201), (97, 65), (1, 1)],
)
def test_a_blurred_room_is_the_cpus(gpu: Any, format: Any, width: int, height: int) -> None:
    frame = real_frame(format, width, height)
    alpha = alpha_of(frame)
    room = BlurBackground().planes(frame, alpha)
    made = on_device(gpu, frame, alpha, None)
    assert difference(made, blend(frame.planes, alpha, room)) <= 1
