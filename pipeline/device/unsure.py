"""Where the network is unsure, decide by colour, on the GPU: `pipeline/unsure.py` there."""

from __future__ import annotations

from seg_stream.engines.cuda import Gpu, Memory, Stream
from seg_stream.engines.kernels.arguments import UnsureArguments
from seg_stream.pipeline.device.prepare import BLOCK, Guide, grid
from seg_stream.pipeline.unsure import ANY, FEW, LITTLE, NEAR, SCANT, UNSURE, levels, spiral


class DeviceUnsure:
    """Decides masks of one size; all methods belong to the GPU's thread."""

    def __init__(self, gpu: Gpu, width: int, height: int) -> None:
        self._gpu, self._width, self._height = gpu, width, height
        self._half_size = -(-width // 2), -(-height // 2)
        size = self._half_size[0] * self._half_size[1]
        self._half, self._change = gpu.memory(16 * size), gpu.memory(4 * size)
        rows, columns = spiral()
        self._samples = tuple(zip(rows.tolist(), columns.tolist(), strict=True))

    def enqueue(self, mask: Memory, guide: Guide, decided: Memory, stream: Stream) -> None:
        """Begin to decide a mask by the colours of its frame; both are float32 (H, W)."""
        gpu = self._gpu
        begins, entirely = UNSURE
        arguments = UnsureArguments(
            mask=mask.address,
            decided=decided.address,
            colours=guide.colours.address,
            half=self._half.address,
            change=self._change.address,
            width=self._width,
            height=self._height,
            begins=begins,
            rise=1 / (entirely - begins),
            likeness=-0.5 / levels(guide.bgr) ** 2,
            few=FEW,
            any=ANY,
            radius=NEAR[0] // 2,
            little=255**2 * LITTLE,
            scant=SCANT,
            count=len(self._samples),
            samples=self._samples,
        )
        gpu.launch("unsure.halve", arguments, grid(*self._half_size), BLOCK, stream)
        gpu.launch("unsure.far", arguments, grid(*self._half_size), BLOCK, stream)
        gpu.launch("unsure.near", arguments, grid(self._width, self._height), BLOCK, stream)

    def release(self) -> None:
        """Free what it holds."""
        self._gpu.release(self._half, self._change)
