"""The kernels alone, and the whole pipeline, on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np

from seg_stream.benchmarks.gpu_report import Check, KernelFigures, Leak, PipelineFigures
from seg_stream.benchmarks.schema import Distribution
from seg_stream.engines.contract import Engine, TensorSpec
from seg_stream.engines.cuda import Gpu, Stream
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.model_info import ModelInfo
from seg_stream.engines.select import EngineChoice
from seg_stream.pipeline.backgrounds import open_background
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.device.blend import DeviceBlend
from seg_stream.pipeline.device.effect import DeviceEffect
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.device.matte import DeviceMatte
from seg_stream.pipeline.device.prepare import DevicePrepare
from seg_stream.pipeline.effect import VirtualBackground
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.runner import Stage, run
from seg_stream.pipeline.sample import read_portrait, view
from seg_stream.pipeline.types import FloatImage

SIZES = ((1280, 720), (1920, 1080), (3840, 2160))

LAUNCHES = 200
"""Of a kernel that is timed, one after the other."""


def frames(width: int, height: int, count: int) -> list[Frame]:
    """A swaying portrait as I420, as a decoder gives it."""
    portrait = read_portrait()
    made = []
    for index in range(count):
        picture = cv2.resize(view(portrait, index / 25), (width, height))
        stacked = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        luma = stacked[:height]
        chroma = stacked[height:].reshape(2, height // 2, width // 2)
        planes = tuple(np.ascontiguousarray(plane) for plane in (luma, *chroma))
        time_base = Fraction(1, 25)
        made.append(Frame(index, planes, "yuv420p", Colour(), index, time_base, perf_counter()))
    return made


class FixedMask(DeviceEngine):
    """Gives the same mask for every frame, so that only the kernels are looked at."""

    def __init__(self, gpu: Gpu, mask_hw: FloatImage) -> None:
        height, width = mask_hw.shape
        spec = TensorSpec("input", (1, 3, height, width), "float32", "NCHW", "pixels")
        output = TensorSpec("alpha", (1, 1, height, width), "float32", "NCHW", "probability 0..1")
        super().__init__(gpu, ModelInfo(name="fixed"), spec, output)
        self.name = "a fixed mask"
        self._mask = gpu.call(gpu.pinned, output.shape, np.float32)
        np.copyto(self._mask.array, mask_hw)

    def enqueue(self, stream: Stream) -> None:
        """See `DeviceEngine.enqueue`."""
        self.gpu.upload(self.output_memory, self._mask, stream)


class FixedMaskOnHost(Engine):
    """The same for the CPU's pipeline."""

    def __init__(self, like: FixedMask, mask_hw: FloatImage) -> None:
        self.name, self.info = "a fixed mask", like.info
        self.input, self.output = like.input, like.output
        self._mask_hw = mask_hw

    def infer(self, tensor: FloatImage) -> FloatImage:
        """See `Engine.infer`."""
        return self._mask_hw.copy()

    def close(self) -> None:
        """See `Engine.close`."""


def a_mask(width: int = 256, height: int = 160) -> FloatImage:
    """A soft-edged person-like blob."""
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height), (width // 4, height * 3 // 4), 0, 0, 360, 1.0, -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 2), np.float32)


def compare_kernels(
    gpu: Callable[[], Gpu], size: tuple[int, int], background: str, count: int = 6
) -> Check:
    """Composite frames on the GPU and on the CPU behind the same masks."""
    mask = a_mask()
    with FixedMask(gpu(), mask) as engine, closing(open_background(background)) as behind:
        device = DeviceEffect(engine, behind)
        every = MatteSettings(hold=0)  # as the GPU does
        with VirtualBackground(background, engine="onnxruntime", matte=every) as effect:
            effect.engine.close()
            effect.engine = FixedMaskOnHost(engine, mask)
            worst, far, total = 0, 0, 0
            for frame in frames(*size, count):
                got = device.begin(frame, MatteSettings()).finish()
                for one, other in zip(effect.process(frame).planes, got.planes, strict=True):
                    apart = cv2.absdiff(one, other)
                    worst = max(worst, int(apart.max()))
                    far += int(np.count_nonzero(apart > 1))
                    total += apart.size
    name = f"kernels as the CPU, {size[0]}x{size[1]}, {Path(background).name}"
    seen = f"at most {worst} of 255 apart, {far} of {total} bytes by more than 1"
    # Each kernel is within one step of the CPU, and they add up.
    return Check(name=name, passed=worst <= 3 and far < 1e-4 * total, seen=seen)


def copy_rate(gpu: Gpu, size: int = 1 << 28) -> float:
    """Bytes read and written a second by a copy from one place of the GPU to another."""

    def begin() -> Any:
        one, two = gpu.memory(size), gpu.memory(size)

        def copy(stream: Stream) -> None:
            # The pipeline copies nothing on the GPU, so that `Gpu` has no method for it.
            gpu._driver.memcpy_dtod_async(two.address, one.address, size, stream.native)

        return copy, (one, two)

    copy, held = gpu.call(begin)
    each_ms = timed_ms(gpu, copy, LAUNCHES)
    gpu.call(gpu.release, *held)
    return 2 * size / each_ms * 1000


def timed_ms(gpu: Gpu, work: Callable[[Stream], None], count: int) -> float:
    """Milliseconds of one of many pieces of work that are enqueued at once."""

    def enqueue() -> tuple[Any, ...]:
        stream, start, end = gpu.stream(), gpu.event(timing=True), gpu.event(timing=True)
        work(stream)
        start.record(stream)
        for _ in range(count):
            work(stream)
        end.record(stream)
        return start, end, stream

    start, end, stream = gpu.call(enqueue)
    gpu.wait(end)
    took_ms: float = gpu.call(lambda: end.ms_since(start))
    gpu.call(gpu.release, start, end, stream)
    return took_ms / count


def measure_kernels(gpu: Gpu, size: tuple[int, int], copy_bytes: float) -> list[KernelFigures]:
    """Time what is done at the frame's size, and count the bytes that it has to move."""
    (frame,) = frames(*size, 1)
    layout, mask = FrameLayout.of(frame), a_mask()
    height, width = mask.shape
    spec = TensorSpec("input", (1, 3, height, width), "float32", "NCHW", "pixels")
    output = TensorSpec("alpha", (1, 1, height, width), "float32", "NCHW", "probability 0..1")
    pixels = layout.width * layout.height

    def begin() -> list[tuple[str, Callable[[Stream], None], float]]:
        stream = gpu.stream()
        up, masked = gpu.pinned(layout.size), gpu.pinned(mask.shape, np.float32)
        memory, behind, target = (gpu.memory(layout.size) for _ in range(3))
        layout.fill(up.array, frame.planes)
        np.copyto(masked.array, mask)
        gpu.upload(memory, up, stream)
        gpu.upload(behind, up, stream)
        tensor, alpha = gpu.memory(12 * width * height), gpu.memory(2 * pixels)
        result, faults = gpu.memory(4 * width * height), gpu.memory(4)
        gpu.upload(result, masked, stream)
        prepare = DevicePrepare(gpu, spec, ModelInfo(name="none"), layout)
        matte, blend = DeviceMatte(gpu, output, 0), DeviceBlend(gpu, layout)
        planes, room, into = (layout.planes(each.address) for each in (memory, behind, target))
        prepare.enqueue(planes, frame.colour, tensor.address, stream, matte.guide)
        matte.enqueue(result, MatteSettings(), stream, still=False, faults=faults.address)
        matte.draw(planes, False, alpha, stream)
        done = gpu.event()
        done.record(stream)
        return [
            (
                "prepare",
                lambda s: prepare.enqueue(planes, frame.colour, tensor.address, s, matte.guide),
                layout.size + 19 * width * height,
            ),
            ("draw the alpha", lambda s: matte.draw(planes, False, alpha, s), 3 * pixels),
            (
                "composite",
                lambda s: blend.enqueue(planes, alpha, into, s, behind=room),
                3 * layout.size + 2 * pixels,
            ),
        ]

    found = []
    for name, work, moved in gpu.call(begin):
        ms = timed_ms(gpu, work, LAUNCHES)
        floor_ms = 1000 * moved / copy_bytes
        figures = KernelFigures(
            kernel=name,
            frame=f"{size[0]}x{size[1]}",
            ms=ms,
            megabytes=moved / 1e6,
            floor_ms=floor_ms,
            copy_share=floor_ms / ms,
        )
        found.append(figures)
    return found


def measure_pipeline(
    choice: EngineChoice,
    model: Path,
    name: str,
    size: tuple[int, int],
    background: str,
    alone_ms: float,
    count: int,
) -> PipelineFigures:
    """Run frames through every stage, each in its own thread, as a conversion does.

    Args:
        choice: the engine.
        model: an ONNX or engine file.
        name: of the network.
        size: of the frames.
        background: what stands behind.
        alone_ms: what the network alone takes.
        count: of frames.
    """
    several = frames(*size, 25)
    with VirtualBackground(background, model=model, engine=choice) as effect:
        for frame in several[:5]:
            effect.process(frame)
        ends = list[float]()
        source = (several[number % len(several)] for number in range(count))
        run(source, effect.stages, Stage("take", lambda _: ends.append(perf_counter())))
        engine = effect.engine.name
    warm = ends[count // 10 :]
    times_ms = [1000 * (b - a) for a, b in pairwise(warm)]
    each_ms = 1000 * (warm[-1] - warm[0]) / (len(warm) - 1)
    return PipelineFigures(
        engine=engine,
        model=name,
        frame=f"{size[0]}x{size[1]}",
        background=Path(background).name,
        fps=1000 / each_ms,
        frame_ms=Distribution.of("ms", times_ms),
        engine_share=alone_ms / each_ms,
        around_share=max(0.0, 1 - alone_ms / each_ms),
    )


def find_leak(
    choice: EngineChoice, model: str | Path, count: int, free_bytes: Callable[[Engine], int]
) -> Leak:
    """Run many frames and compare memory after the first tenth with memory at the end."""
    several = frames(*SIZES[0], 25)
    seen: list[tuple[int, int]] = []
    with VirtualBackground("blur", model=model, engine=choice) as effect:
        for number in range(count):
            effect.process(several[number % len(several)])
            if number in (count // 10, count - 1):
                seen.append((free_bytes(effect.engine), _resident_bytes()))
    (gpu_before, host_before), (gpu_after, host_after) = seen
    gpu_mib, host_mib = (gpu_before - gpu_after) / 2**20, (host_after - host_before) / 2**20
    return Leak(
        frames=count, gpu_mib=gpu_mib, host_mib=host_mib, passed=gpu_mib < 16 and host_mib < 64
    )


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * 4096
