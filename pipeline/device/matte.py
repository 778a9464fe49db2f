"""From the network's output to an alpha at frame size, on the GPU: `pipeline/matte.py` there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seg_stream.engines.contract import TOLERANCE, TensorSpec
from seg_stream.engines.cuda import Gpu, Memory, Stream
from seg_stream.engines.kernels.arguments import (
    DrawArguments,
    GuidedArguments,
    PartsArguments,
    Plane,
    ReadArguments,
    SteadyArguments,
)
from seg_stream.pipeline.device.prepare import BLOCK, Guide, grid
from seg_stream.pipeline.device.unsure import DeviceUnsure
from seg_stream.pipeline.errors import SegStreamError, UserError
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.steadying import MOTION_GAIN, NOISE

FLOOD_BLOCK = (1024, 1, 1)

NOT_A_NUMBER, NO_PROBABILITY = 1, 2


class DeviceMatte:
    """Keeps the steadied mask on the GPU; all methods belong to the GPU's thread.

    Args:
        gpu: where.
        spec: of the network's output.
        channel: of the output that is the person.
    """

    def __init__(self, gpu: Gpu, spec: TensorSpec, channel: int) -> None:
        self._gpu, self._spec, self._channel = gpu, spec, channel
        size = spec.width * spec.height
        words = -(-spec.width // 32) * spec.height
        self._mask, self._decided = gpu.memory(4 * size), gpu.memory(4 * size)
        self._fit, self._smooth = gpu.memory(8 * size), gpu.memory(8 * size)
        self._open, self._reached = gpu.memory(4 * words), gpu.memory(4 * words)
        # Each pair: what this frame gets, and what the one before it had.
        self._steady = [gpu.memory(4 * size), gpu.memory(4 * size)]
        self._guides = [Guide(gpu, spec.width, spec.height) for _ in range(2)]
        self._unsure = DeviceUnsure(gpu, spec.width, spec.height)
        self._has_before = False

    def restart(self) -> None:
        """Forget the last mask."""
        self._has_before = False

    @property
    def guide(self) -> Guide:
        """What has to be filled with this frame."""
        return self._guides[0]

    def enqueue(
        self,
        output: Memory,
        settings: MatteSettings,
        stream: Stream,
        *,
        still: bool,
        faults: int,
    ) -> None:
        """Begin to make of a network's output what `draw` needs.

        Args:
            output: the network's.
            settings: how.
            stream: after what is there already, the guide among it.
            still: the frame has nothing to do with the one before.
            faults: address of an int32 to which what is wrong with the output is added.
        """
        spec, gpu = self._spec, self._gpu
        width, height = spec.width, spec.height
        planar = spec.layout == "NCHW"
        guide, guide_before = self._guides
        read = ReadArguments(
            output=output.address,
            offset=self._channel * (width * height if planar else 1),
            step=1 if planar else spec.channels,
            half=spec.dtype == "float16",
            width=width,
            height=height,
            tolerance=TOLERANCE,
            mask=self._mask.address,
            faults=faults,
        )
        gpu.launch("matte.read", read, grid(width, height), BLOCK, stream)
        self._unsure.enqueue(self._mask, guide, self._decided, stream)
        parts = PartsArguments(
            mask=self._mask.address,
            decided=self._decided.address,
            width=width,
            height=height,
            low=settings.low,
            sure=settings.sure,
            open=self._open.address,
            reached=self._reached.address,
        )
        gpu.launch("matte.parts", parts, (1, 1, 1), FLOOD_BLOCK, stream)
        before = self._has_before and not still
        steady = SteadyArguments(
            mask=self._decided.address,
            guide=guide.luma.address,
            mask_before=self._steady[1].address if before else None,
            guide_before=guide_before.luma.address,
            steady=self._steady[0].address,
            width=width,
            height=height,
            least=1 - settings.steadiness,
            noise=NOISE,
            gain=MOTION_GAIN,
        )
        gpu.launch("matte.steady", steady, grid(width, height), BLOCK, stream)
        guided = GuidedArguments(
            mask=self._steady[0].address,
            guide=guide.luma.address,
            fit=self._fit.address,
            smooth=self._smooth.address,
            width=width,
            height=height,
            radius=settings.edge_radius,
            low=settings.low,
            gain=1 / (settings.high - settings.low),
            epsilon=settings.edge_smoothness,
        )
        gpu.launch("matte.fit", guided, grid(width, height), BLOCK, stream)
        gpu.launch("matte.smooth", guided, grid(width, height), BLOCK, stream)
        self._steady.reverse()
        self._guides.reverse()
        self._has_before = True

    def draw(
        self,
        planes: Sequence[Plane],
        grey: bool,
        alpha: Memory,
        stream: Stream,
        bytes_at: int | None = None,
    ) -> None:
        """Begin to draw the alpha at the frame's size.

        Args:
            planes: of the frame.
            grey: they are B, G, R.
            alpha: float16 (H, W).
            stream: after `enqueue`.
            bytes_at: address of uint8 (H, W) for the same, 0..255.
        """
        luma = planes[0]
        arguments = DrawArguments(
            luma=luma,
            smooth=self._smooth.address,
            alpha=alpha.address,
            bytes=bytes_at,
            width=self._spec.width,
            height=self._spec.height,
            pitch=luma.width,
            grey=grey,
        )
        self._gpu.launch("matte.draw", arguments, grid(luma.width, luma.height), BLOCK, stream)

    def release(self) -> None:
        """Free what it holds."""
        self._gpu.release(
            self._mask,
            self._decided,
            self._fit,
            self._smooth,
            self._open,
            self._reached,
            *self._steady,
        )
        for guide in self._guides:
            guide.release()
        self._unsure.release()


def check_faults(faults: np.int32) -> None:
    """Refuse an output of a network, as `check_mask` does on the CPU.

    Raises:
        SegStreamError: it is not a number somewhere.
        UserError: its values are no probabilities.
    """
    if faults & NOT_A_NUMBER:
        raise SegStreamError("The network's output is not a number; the engine is at fault.")
    if faults & NO_PROBABILITY:
        raise UserError(
            "The model's output leaves 0..1, expected a probability; "
            "end the model with a sigmoid or softmax."
        )
