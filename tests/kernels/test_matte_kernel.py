"""The kernels that make the alpha, against the CPU's on real frames."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from real_frames import real_frame
from test_unsure_kernel import doubtful

from seg_stream.engines.contract import TensorSpec
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.device.matte import DeviceMatte, check_faults
from seg_stream.pipeline.device.prepare import Shrinker
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import Matte, MatteSettings

Mask = npt.NDArray[np.float32]
STEP = 1 / 255


def person(width: int, height: int, seed: int = 0) -> Mask:
    """A soft blob with an arm, a lamp that is no person, and noise."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.float32)
    centre = (int(width * (0.45 + 0.02 * seed)), int(height * 0.6))
    cv2.ellipse(mask, centre, (max(width // 5, 1), max(height // 3, 1)), 0, 0, 360, 1.0, -1)
    cv2.line(mask, centre, (width - 2, height // 2), 0.6, max(1, height // 20))
    cv2.circle(mask, (width // 12, height // 8), max(1, height // 14), 0.5, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), max(width / 80, 0.3))
    return np.clip(mask + rng.normal(0, 0.02, mask.shape), 0, 1).astype(np.float32)


class Device:
    """Feeds masks to the kernels, one frame after the other."""

    def __init__(self, gpu: Any, width: int, height: int, **spec: Any) -> None:
        layout, channels = spec.get("layout", "NCHW"), spec.get("channels", 1)
        shape = (1, channels, height, width) if layout == "NCHW" else (1, height, width, channels)
        self.gpu, self.channel = gpu, spec.get("channel", 0)
        self.spec = TensorSpec("mask", shape, spec.get("dtype", "float32"), layout, "0..1")
        self.output = gpu.memory(int(np.prod(shape)) * np.dtype(self.spec.dtype).itemsize)
        self.faults = gpu.memory(4)
        self.matte = DeviceMatte(gpu, self.spec, self.channel)

    def __call__(self, mask: Mask, frame: Frame, settings: MatteSettings) -> tuple[Any, Any]:
        gpu, layout, stream = self.gpu, FrameLayout.of(frame), self.gpu.stream()
        pinned, memory = gpu.pinned(layout.size), gpu.memory(layout.size)
        layout.fill(pinned.array, frame.planes)
        gpu.upload(memory, pinned, stream)
        planes = layout.planes(memory.address)
        numbers = self.output.numbers(self.spec.dtype, *self.spec.shape)
        numbers[:] = 0.5
        if self.spec.layout == "NCHW":
            numbers[0, self.channel] = mask
        else:
            numbers[0, ..., self.channel] = mask
        shrinker = Shrinker(gpu, layout, self.spec.width, self.spec.height)
        shrinker.enqueue(planes, stream, guide=self.matte.guide)
        gpu.clear(self.faults.address, 4, stream)
        self.matte.enqueue(
            self.output, settings, stream, still=frame.still, faults=self.faults.address
        )
        check_faults(self.faults.numbers(np.int32, 1)[0])
        size = layout.width * layout.height
        alpha, kept = gpu.memory(2 * size), gpu.memory(size)
        self.matte.draw(planes, layout.format == "bgr24", alpha, stream, kept.address)
        shape = layout.height, layout.width
        made = alpha.numbers(np.float16, *shape).astype(np.float32)
        return made, kept.numbers(np.uint8, *shape).copy()


def compare(
    device: Device, frames: list[Frame], masks: list[Mask], settings: MatteSettings | None = None
) -> None:
    settings = settings or MatteSettings()
    matte = Matte(settings)
    for frame, mask in zip(frames, masks, strict=True):
        expected = matte(mask, frame)
        made, kept = device(mask, frame, settings)
        assert np.abs(made - expected).max() <= STEP
        assert np.abs(kept - expected * 255).max() <= 1


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize(
    ("width", "height", "mask"),
    [
        (1920, 1080, (256, 160)),
        (1280, 720, (384, 224)),
        (97, 65, (96, 96)),
        (301, 201, (33, 31)),
        (1, 1, (3, 5)),
        (64, 48, (1, 1)),
    ],
)
def test_it_is_the_cpus(gpu: Any, format: Any, width: int, height: int, mask: Any) -> None:
    frames = [real_frame(format, width, height, index=index) for index in range(3)]
    compare(Device(gpu, *mask), frames, [person(*mask, index) for index in range(3)])


def test_it_is_the_cpus_at_4k(gpu: Any) -> None:
    compare(Device(gpu, 384, 224), [real_frame("yuv420p", 3840, 2160)], [person(384, 224)])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_person_is_the_models_channel(gpu: Any, layout: str, dtype: str) -> None:
    device = Device(gpu, 96, 64, layout=layout, dtype=dtype, channels=3, channel=1)
    frame, mask = real_frame("yuv420p", 320, 240), person(96, 64)
    compare(device, [frame], [mask.astype(dtype).astype(np.float32)])


@pytest.mark.parametrize(
    "settings",
    [
        MatteSettings(steadiness=0),
        MatteSettings(edge_radius=8, edge_smoothness=1e-2),
        MatteSettings(low=0.1, high=0.95, sure=0.5),
        MatteSettings(sure=0),
    ],
)
def test_the_settings_are_followed(gpu: Any, settings: MatteSettings) -> None:
    frames = [real_frame("yuv420p", 320, 240, index=index) for index in range(3)]
    compare(Device(gpu, 96, 72), frames, [person(96, 72, index) for index in range(3)], settings)


def test_a_winding_part_is_followed_to_its_end(gpu: Any) -> None:
    """A spiral that is sure at one end alone: the flood goes round it, and over words' borders."""
    mask = np.zeros((101, 101), np.float32)
    for turn in range(2, 50, 4):
        mask[turn, turn - 2 : 101 - turn] = mask[100 - turn, turn : 101 - turn] = 0.6
        mask[turn : 101 - turn, 100 - turn] = 0.6
        mask[turn + 4 : 101 - turn, turn] = 0.6
        mask[turn + 4, turn : turn + 3] = 0.6
    mask[2, 0] = 0.95
    free = np.argwhere(cv2.dilate(mask, np.ones((3, 3), np.uint8)) == 0)
    mask[tuple(free[len(free) // 2])] = 0.7  # sure nowhere, between the spiral's arms
    assert cv2.connectedComponents((mask > 0.25).astype(np.uint8))[0] == 3
    compare(Device(gpu, 101, 101), [real_frame("yuv420p", 320, 240)], [mask])


@pytest.mark.parametrize("format", ["yuv420p", "bgr24"])
@pytest.mark.parametrize("size", [(256, 128), (97, 65)])
def test_large_unsure_parts_are_decided_by_colour(gpu: Any, format: Any, size: Any) -> None:
    frames = [real_frame(format, 640, 480, index=index) for index in range(3)]
    compare(Device(gpu, *size), frames, [doubtful(*size, index) for index in range(3)])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_mask_that_is_alike_everywhere_is_kept(gpu: Any, value: float) -> None:
    mask = np.full((72, 96), value, np.float32)
    device, frame = Device(gpu, 96, 72), real_frame("yuv420p", 320, 240)
    compare(device, [frame], [mask])
    assert np.abs(device(mask, frame, MatteSettings())[0] - value).max() <= STEP


def test_it_gives_back_what_it_holds(gpu: Any) -> None:
    spec = TensorSpec("mask", (1, 1, 72, 96), "float32", "NCHW", "0..1")
    matte = DeviceMatte(gpu, spec, 0)
    assert gpu.held
    matte.release()
    assert not gpu.held


def test_a_mask_that_is_sure_nowhere_is_kept(gpu: Any) -> None:
    compare(Device(gpu, 96, 72), [real_frame("yuv420p", 320, 240)], [0.6 * person(96, 72)])


def test_a_still_and_a_restart_forget_the_last_mask(gpu: Any) -> None:
    device, settings = Device(gpu, 96, 72), MatteSettings(steadiness=1)
    frame = real_frame("yuv420p", 320, 240)
    device(person(96, 72), frame, settings)
    second = person(96, 72, 4)
    alone = Matte(settings)(second, frame)
    assert np.abs(device(second, frame, settings)[0] - alone).max() > 0.1
    device.matte.restart()
    assert np.abs(device(second, frame, settings)[0] - alone).max() <= STEP
    still = real_frame("yuv420p", 320, 240, still=True)
    third = person(96, 72, 8)
    assert np.abs(device(third, still, settings)[0] - Matte(settings)(third, frame)).max() <= STEP


def test_what_is_no_mask_is_refused(gpu: Any) -> None:
    device, frame = Device(gpu, 96, 72), real_frame("yuv420p", 320, 240)
    mask = person(96, 72)
    mask[3, 5] = np.nan
    with pytest.raises(SegStreamError, match="not a number"):
        device(mask, frame, MatteSettings())
    mask[3, 5] = np.inf
    with pytest.raises(SegStreamError, match="not a number"):
        device(mask, frame, MatteSettings())
    mask[3, 5] = 1.2
    with pytest.raises(UserError, match=r"leaves 0\.\.1"):
        device(mask, frame, MatteSettings())
