"""Make the network's input on the GPU: `pipeline/prepare.py` there."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float

import numpy as np

from seg_stream.engines.contract import TensorSpec
from seg_stream.engines.cuda import Gpu, Stream
from seg_stream.engines.kernels.arguments import Plane, PrepareArguments, ShrinkArguments
from seg_stream.engines.model_info import ModelInfo
from seg_stream.pipeline.colour import Colour, yuv_to_rgb
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.types import FloatImage

BLOCK = (32, 8, 1)

MOST_HALVINGS = 5


def grid(width: int, height: int) -> tuple[int, int, int]:
    """Blocks that cover a picture."""
    return -(-width // BLOCK[0]), -(-height // BLOCK[1]), 1


def steps(
    width: int, height: int, to_width: int, to_height: int
) -> tuple[list[tuple[int, int, int]], int]:
    """The way of `shrink` to a size: steps that need a plane of their own, and halvings after them.

    A step is (exact halvings before it, width, height): halving an odd size is no mean of four.
    """
    own, halvings = [], 0
    while width >= 2 * to_width and height >= 2 * to_height:
        if (width | height) & 1 or halvings == MOST_HALVINGS:
            own.append((halvings, width // 2, height // 2))
            halvings = 0
        else:
            halvings += 1
        width, height = width // 2, height // 2
    return own, halvings


class Guide:
    """What the matte sees of a frame, at the mask's size; a `Shrinker` fills it.

    All of it belongs to the GPU's thread.
    """

    def __init__(self, gpu: Gpu, width: int, height: int) -> None:
        self._gpu = gpu
        self.luma = gpu.memory(4 * width * height)
        """float32 (H, W), 0..1."""
        self.colours = gpu.memory(3 * width * height)
        """uint8 (3, H, W)."""
        self.bgr = False
        """The colours are B, G, R, not Y, U, V."""

    def release(self) -> None:
        """Free what it holds."""
        self._gpu.release(self.luma, self.colours)


class Shrinker:
    """Makes planes smaller; all methods belong to the GPU's thread.

    Holds what lies between for frames of one layout and one size to come to.
    """

    def __init__(self, gpu: Gpu, layout: FrameLayout, width: int, height: int) -> None:
        self._gpu, self._grey = gpu, layout.format == "bgr24"
        self._size = width, height
        sizes = [(plane.width, plane.height) for plane in layout.planes(0)]
        luma = sizes[0]
        self._steps = [steps(*size, width, height) for size in (*sizes, luma)]
        self._memory = [
            [gpu.memory(step_width * step_height) for _, step_width, step_height in own]
            for own, _ in self._steps
        ]

    def enqueue(
        self,
        planes: Sequence[Plane],
        stream: Stream,
        *,
        tensor: int | None = None,
        guide: Guide | None = None,
        matrix: FloatImage | None = None,
        scale: Sequence[float] = (1, 1, 1),
        shift: Sequence[float] = (0, 0, 0),
        half: bool = False,
        nhwc: bool = False,
    ) -> None:
        """Begin to fill a tensor of three channels, a guide, or both.

        Args:
            planes: Y, U, V or B, G, R.
            stream: after what is there already.
            tensor: address of (1, 3, H, W), or (1, H, W, 3) with `nhwc`, float32 or float16.
            guide: of the same size.
            matrix: 3x4 from the planes (and 1) to the tensor's channels; as they are by default.
            scale: of each channel of the tensor, after it was held to 0..255.
            shift: added after that.
            half: the tensor is float16.
            nhwc: the channels of a pixel lie together.
        """
        small = [self._own(i, [plane], stream) for i, plane in enumerate(planes)]
        if self._grey:
            small_luma = self._own(3, planes, stream) if self._memory[3] and guide else Plane()
        else:
            small_luma = small[0]
        if guide:
            guide.bgr = self._grey
        matrix = np.eye(3, 4, dtype=np.float32) if matrix is None else matrix
        arguments = PrepareArguments(
            planes=(Plane * 3)(*small),
            luma=small_luma,
            tensor=tensor,
            guide=guide.luma.address if guide else None,
            colours=guide.colours.address if guide else None,
            width=self._size[0],
            height=self._size[1],
            half=half,
            nhwc=nhwc,
            matrix=(c_float * 12)(*matrix.ravel().tolist()),
            scale=(c_float * 3)(*scale),
            shift=(c_float * 3)(*shift),
        )
        for i, (_, halvings) in enumerate(self._steps):
            arguments.halvings[i] = halvings
        self._gpu.launch("prepare.prepare", arguments, grid(*self._size), BLOCK, stream)

    def _own(self, index: int, planes: Sequence[Plane], stream: Stream) -> Plane:
        """The last plane that is made on the way, or the one given."""
        plane, grey = planes[0], len(planes) == 3
        own, _ = self._steps[index]
        for (halvings, width, height), memory in zip(own, self._memory[index], strict=True):
            arguments = ShrinkArguments(
                planes=(Plane * 3)(*(planes if grey else [plane])),
                target=memory.address,
                width=width,
                height=height,
                halvings=halvings,
                grey=grey,
            )
            self._gpu.launch("prepare.shrink", arguments, grid(width, height), BLOCK, stream)
            plane, grey = Plane(memory.address, width, 1, width, height), False
        return plane

    def release(self) -> None:
        """Free what lies between."""
        self._gpu.release(*(memory for own in self._memory for memory in own))


class DevicePrepare:
    """Fills the network's input, and the guide of the matte where it has the same size."""

    def __init__(self, gpu: Gpu, spec: TensorSpec, info: ModelInfo, layout: FrameLayout) -> None:
        self._spec, self._info, self._layout = spec, info, layout
        self._shrinker = Shrinker(gpu, layout, spec.width, spec.height)

    def enqueue(
        self,
        planes: Sequence[Plane],
        colour: Colour,
        tensor: int,
        stream: Stream,
        guide: Guide | None = None,
    ) -> None:
        """Begin to fill the input at an address; in the GPU's thread."""
        if self._layout.format == "bgr24":
            matrix = np.eye(3, 4, dtype=np.float32)[::-1]
        else:
            matrix = yuv_to_rgb(colour.matrix(self._layout.height), colour.full_range)
        if self._info.input_colour == "BGR":
            matrix = matrix[::-1]
        mean, std = self._info.input_mean, self._info.input_std
        self._shrinker.enqueue(
            planes,
            stream,
            tensor=tensor,
            guide=guide,
            matrix=matrix,
            scale=[1 / each for each in std],
            shift=[-m / s for m, s in zip(mean, std, strict=True)],
            half=self._spec.dtype == "float16",
            nhwc=self._spec.layout == "NHWC",
        )

    def release(self) -> None:
        """Free what it holds; in the GPU's thread."""
        self._shrinker.release()
