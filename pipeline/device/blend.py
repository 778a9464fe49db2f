"""Put the person on the new background on the GPU: `pipeline/blend.py` there."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from seg_stream.engines.cuda import Gpu, Memory, Stream
from seg_stream.engines.kernels.arguments import (
    BlendArguments,
    CellsArguments,
    EdgesArguments,
    Plane,
    RoomArguments,
)
from seg_stream.pipeline.backgrounds import BLUR_REACH, BLUR_ROWS, MIXED, NEAR
from seg_stream.pipeline.blend import CELL_ROWS, EDGE_SHARE, SURE
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.device.prepare import BLOCK, Shrinker, grid, steps
from seg_stream.pipeline.shrink import halvings

STRIP = 256
"""Threads of a block that sums up a strip of cells; kStrip in composite.cu."""

MEAN_BLOCK = (256, 1, 1)


class DeviceRoom:
    """The room out of focus, as a small picture; all methods belong to the GPU's thread."""

    def __init__(self, gpu: Gpu, layout: FrameLayout) -> None:
        self._gpu, self._layout = gpu, layout
        factor = halvings(layout.height, BLUR_ROWS)
        self.width, self.height = -(-layout.width // factor), -(-layout.height // factor)
        self._shrinker = Shrinker(gpu, layout, self.width, self.height)
        size = self.width * self.height
        self.pictures = gpu.memory(12 * size)
        self._alpha, self._room, self._sums = (gpu.memory(size * n) for n in (4, 4, 16))
        self._means = gpu.memory(12)

    def enqueue(self, planes: Sequence[Plane], alpha: Memory, stream: Stream) -> None:
        """Begin to make `pictures`, float32 (3, height, width) in 64ths, of a frame."""
        gpu, layout = self._gpu, self._layout
        width, height = self.width, self.height
        self._shrinker.enqueue(planes, stream, tensor=self.pictures.address)
        radius = max(1, round(BLUR_REACH * height))
        arguments = RoomArguments(
            alpha=alpha.address,
            alpha_pitch=layout.width,
            frame_width=layout.width,
            frame_height=layout.height,
            halvings=_exact(layout.width, layout.height, width, height),
            small_alpha=self._alpha.address,
            room=self._room.address,
            pictures=self.pictures.address,
            sums=self._sums.address,
            means=self._means.address,
            width=width,
            height=height,
            near=ceil(NEAR * height),
            mixed=MIXED,
        )
        whole = grid(width, height)
        gpu.launch("room.shrink_alpha", arguments, whole, BLOCK, stream)
        gpu.launch("room.keep_away", arguments, whole, BLOCK, stream)
        gpu.launch("room.mean", arguments, (1, 1, 1), MEAN_BLOCK, stream)
        fills = [(reach, True, reach == 16 * radius) for reach in (radius, 4 * radius, 16 * radius)]
        blurs = [(radius, False, number == 2) for number in range(3)]
        for arguments.reach, arguments.fill, arguments.last in fills + blurs:
            gpu.launch("room.along_rows", arguments, whole, BLOCK, stream)
            gpu.launch("room.along_columns", arguments, whole, BLOCK, stream)

    def release(self) -> None:
        """Free what it holds."""
        self._shrinker.release()
        self._gpu.release(self.pictures, self._alpha, self._room, self._sums, self._means)


class DeviceBlend:
    """Composites frames of one layout; all methods belong to the GPU's thread."""

    def __init__(self, gpu: Gpu, layout: FrameLayout) -> None:
        self._gpu, self._layout = gpu, layout
        self._side = max(2, halvings(layout.height, CELL_ROWS))
        self._columns = -(-layout.width // self._side)
        self._rows = -(-layout.height // self._side)
        cells = self._columns * self._rows
        self._share, self._means = gpu.memory(4 * cells), gpu.memory(12 * cells)
        self._colours, self._mixed = gpu.memory(24 * cells), gpu.memory(4)
        self._across = int(layout.format in ("yuv420p", "yuv422p"))
        self._down = int(layout.format == "yuv420p")

    def enqueue(
        self,
        planes: Sequence[Plane],
        alpha: Memory,
        target: Sequence[Plane],
        stream: Stream,
        *,
        behind: Sequence[Plane] | DeviceRoom,
        cut: bool = False,
    ) -> None:
        """Begin to composite.

        Args:
            planes: of the frame.
            alpha: float16 (H, W).
            target: planes for the result.
            stream: after what is there already.
            behind: what stands behind the person.
            cut: give the person's own colours, not multiplied by alpha, as `cut_out` does.
        """
        gpu, layout = self._gpu, self._layout
        columns, rows, side = self._columns, self._rows, self._side
        gpu.clear(self._mixed.address, 4, stream)
        cells = CellsArguments(
            planes=(Plane * 3)(*planes),
            alpha=alpha.address,
            pitch=layout.width,
            width=layout.width,
            height=layout.height,
            side=side,
            columns=columns,
            rows=rows,
            across=self._across,
            down=self._down,
            sure=SURE,
            share=self._share.address,
            means=self._means.address,
            mixed=self._mixed.address,
        )
        strips = -(-columns * side // STRIP)
        gpu.launch("composite.cells", cells, (strips, rows, 1), (STRIP, 1, 1), stream)
        edges = EdgesArguments(
            share=self._share.address,
            means=self._means.address,
            colours=self._colours.address,
            columns=columns,
            rows=rows,
            sure=SURE / side**2,
        )
        gpu.launch("composite.edges", edges, grid(columns, rows), BLOCK, stream)
        blend = BlendArguments(
            planes=(Plane * 3)(*planes),
            target=(Plane * 3)(*target),
            alpha=alpha.address,
            pitch=layout.width,
            width=layout.width,
            height=layout.height,
            side_shift=side.bit_length() - 1,
            columns=columns,
            rows=rows,
            across=self._across,
            down=self._down,
            share=self._share.address,
            colours=self._colours.address,
            mixed=self._mixed.address,
            most_mixed=int(EDGE_SHARE * layout.width * layout.height),
            cut=cut,
            sure=SURE,
            sure_cell=SURE / side**2,
        )
        if isinstance(behind, DeviceRoom):
            blend.small = behind.pictures.address
            blend.small_width, blend.small_height = behind.width, behind.height
        else:
            blend.behind = (Plane * 3)(*behind)
        # Each thread makes 4x2 pixels.
        blocks = grid(-(-layout.width // 4), -(-layout.height // 2))
        gpu.launch("composite.blend", blend, blocks, BLOCK, stream)

    def release(self) -> None:
        """Free what it holds."""
        self._gpu.release(self._share, self._means, self._colours, self._mixed)


def _exact(width: int, height: int, to_width: int, to_height: int) -> int:
    """Exact halvings on the way to a size; alpha takes the rest, which is not rounded, at once."""
    own, last = steps(width, height, to_width, to_height)
    return own[0][0] if own else last
