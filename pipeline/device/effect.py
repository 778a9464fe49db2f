"""The effect on the GPU: a frame goes up, its composite comes down, and nothing in between.

Two frames are on their way at a time, each on a stream of its own: while one is computed, the next
goes up and the one before comes down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from queue import SimpleQueue

import numpy as np

from seg_stream.engines.cuda import Event, Gpu, Memory, Pinned
from seg_stream.engines.device_engine import DeviceEngine
from seg_stream.engines.kernels.arguments import Plane
from seg_stream.pipeline.backgrounds import Background, BlurBackground
from seg_stream.pipeline.device.blend import DeviceBlend, DeviceRoom
from seg_stream.pipeline.device.layout import FrameLayout
from seg_stream.pipeline.device.matte import DeviceMatte, check_faults
from seg_stream.pipeline.device.prepare import DevicePrepare, Shrinker
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.matte import MatteSettings
from seg_stream.pipeline.types import Image

SLOTS = 2

_NO_ALPHA = np.empty((0, 0), np.float32)


class Ticket:
    """A frame that is on its way through the GPU; one that is dropped gives its place back."""

    def __init__(self, frame: Frame, place: _Place, free: SimpleQueue[_Place]) -> None:
        self._frame, self._free = frame, free
        self._place: _Place | None = place

    def finish(self) -> Frame:
        """Wait for the frame and return its composite; once.

        Raises:
            SegStreamError: the GPU failed, or the network's output is not a number.
            UserError: the network's output is no probability.
        """
        if self._place is None:
            raise ValueError("the ticket was used before")
        try:
            planes, alpha_hw = self._place.take()
            return replace(self._frame, planes=planes, alpha_hw=alpha_hw)
        finally:
            self._give_back()

    def _give_back(self) -> None:
        place, self._place = self._place, None
        if place:
            self._free.put(place)

    def __del__(self) -> None:
        self._give_back()


class DeviceEffect:
    """Does what `VirtualBackground` does for engines whose tensors stay on the GPU.

    `begin` is called in the order of the frames, from one thread; tickets may be finished in
    another one. All that it holds is freed with the GPU, which the engine closes.

    Args:
        engine: on the GPU.
        background: what stands behind.
        cut: the composite is the person alone, as `cut_out` gives it.
        keep_alpha: let the frames carry their alpha.
    """

    def __init__(
        self,
        engine: DeviceEngine,
        background: Background,
        *,
        cut: bool = False,
        keep_alpha: bool = False,
    ) -> None:
        self.engine, self._gpu = engine, engine.gpu
        self._background, self._cut, self._keep_alpha = background, cut, keep_alpha
        self._free: SimpleQueue[_Place] = SimpleQueue()
        self._plan: _Plan | None = None
        self._computed: Event | None = None
        self._gpu.call(self._open)

    def _open(self) -> None:
        channel = self.engine.info.output_channel
        self._matte = DeviceMatte(self._gpu, self.engine.output, channel)
        for _ in range(SLOTS):
            self._free.put(_Place(self._gpu))

    def restart(self) -> None:
        """Forget the last mask."""
        self._gpu.call(self._matte.restart)

    def settle(self) -> None:
        """Wait until the engine's tensors are nobody's, before it is used in another way."""
        if self._computed:
            self._gpu.wait(self._computed)

    def begin(self, frame: Frame, settings: MatteSettings) -> Ticket:
        """Begin with a frame; waits while two are on their way.

        Raises:
            SegStreamError: the GPU or the engine failed.
        """
        layout = FrameLayout.of(frame)
        place = self._free.get()
        ticket = Ticket(frame, place, self._free)  # whatever happens, the place comes back
        place.wait()  # of a frame that was dropped
        if self._plan is None or self._plan.layout != layout:
            self._gpu.call(self._replan, layout)
        if place.layout != layout:
            self._gpu.call(place.resize, layout, self._keep_alpha)
        layout.fill(place.up.array, frame.planes)
        behind = self._behind(frame)
        self._gpu.call(self._enqueue, place, frame, settings, behind)
        return ticket

    def _behind(self, frame: Frame) -> tuple[Image, ...] | None:
        """The planes behind the person; None where they are the blurred room."""
        if isinstance(self._background, BlurBackground):
            return None
        if self._cut:
            return self._empty(frame)
        return self._background.planes(frame, _NO_ALPHA)

    def _empty(self, frame: Frame) -> tuple[Image, ...]:
        plan = self._plan
        if plan is None:
            raise ValueError("there is no plan yet")
        if plan.empty is None or plan.empty[0] != frame.black():
            values = zip(frame.planes, frame.black(), strict=True)
            plan.empty = frame.black(), tuple(np.full(p.shape, v, np.uint8) for p, v in values)
        return plan.empty[1]

    def _replan(self, layout: FrameLayout) -> None:
        """Make what frames of a layout need, once no frame of the one before is being computed."""
        if self._plan:
            self.settle()
            self._plan.release()
        self._plan = _Plan(self._gpu, self.engine, layout)

    def _enqueue(
        self,
        place: _Place,
        frame: Frame,
        settings: MatteSettings,
        behind: tuple[Image, ...] | None,
    ) -> None:
        gpu, engine, plan, stream = self._gpu, self.engine, self._plan, place.stream
        if plan is None:
            raise ValueError("there is no plan yet")
        gpu.upload(place.input, place.up, stream)
        if self._computed:  # what comes now uses memory of the frame before
            stream.wait_for(self._computed)
        planes = plan.layout.planes(place.input.address)
        guide = None if plan.guide else self._matte.guide
        faults = place.output.address + place.faults_at
        gpu.clear(faults, 4, stream)
        plan.prepare.enqueue(planes, frame.colour, engine.input_memory.address, stream, guide)
        if plan.guide:
            plan.guide.enqueue(planes, stream, guide=self._matte.guide)
        engine.enqueue(stream)
        self._matte.enqueue(
            engine.output_memory, settings, stream, still=frame.still, faults=faults
        )
        bytes_at = place.output.address + plan.layout.size if self._keep_alpha else None
        grey = plan.layout.format == "bgr24"
        self._matte.draw(planes, grey, plan.alpha, stream, bytes_at)
        target = plan.layout.planes(place.output.address)
        room = plan.room(behind, planes, place)
        plan.blend.enqueue(planes, plan.alpha, target, stream, behind=room, cut=self._cut)
        place.computed.record(stream)
        self._computed = place.computed
        gpu.download(place.down, place.output, stream)
        place.done.record(stream)
        place.busy = True


class _Place:
    """Memory, a stream and events for one frame on its way."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.stream = gpu.stream()
        self.computed, self.done = gpu.event(), gpu.event()
        self.layout: FrameLayout | None = None
        self.busy = False
        self.staged: Pinned | None = None
        self.up: Pinned
        self.down: Pinned
        self.input: Memory
        self.output: Memory
        self.faults_at = 0
        self._with_alpha = False

    def resize(self, layout: FrameLayout, with_alpha: bool) -> None:
        """Hold frames of a layout: planes, then the alpha, then four bytes for faults."""
        if self.layout:
            self._gpu.release(self.up, self.down, self.input, self.output)
        if self.staged:
            self._gpu.release(self.staged)
            self.staged = None
        alpha = layout.width * layout.height if with_alpha else 0
        self.faults_at = -(-(layout.size + alpha) // 4) * 4
        size = self.faults_at + 4
        self.up, self.down = self._gpu.pinned(layout.size), self._gpu.pinned(size)
        self.input, self.output = self._gpu.memory(layout.size), self._gpu.memory(size)
        self.layout, self._with_alpha = layout, with_alpha

    def wait(self) -> None:
        """Wait for the frame that was here, if any."""
        if self.busy:
            self._gpu.wait(self.done)
            self.busy = False

    def take(self) -> tuple[tuple[Image, ...], Image | None]:
        """Copies of the composite and its alpha, once they are there; see `Ticket.finish`."""
        layout, down = self.layout, self.down.array
        if layout is None:
            raise ValueError("no frame was here")
        self.wait()
        check_faults(down[self.faults_at : self.faults_at + 4].view(np.int32)[0])
        planes = tuple(view.copy() for view in layout.views(down[: layout.size]))
        if not self._with_alpha:
            return planes, None
        shape = layout.height, layout.width
        alpha_hw = down[layout.size : layout.size + shape[0] * shape[1]].reshape(shape)
        return planes, alpha_hw.copy()


class _Plan:
    """What frames of one layout need on the GPU, shared by all that are on their way."""

    def __init__(self, gpu: Gpu, engine: DeviceEngine, layout: FrameLayout) -> None:
        self.layout, self._gpu = layout, gpu
        self.prepare = DevicePrepare(gpu, engine.input, engine.info, layout)
        output = engine.output
        same = (output.width, output.height) == (engine.input.width, engine.input.height)
        self.guide = None if same else Shrinker(gpu, layout, output.width, output.height)
        self.alpha = gpu.memory(2 * layout.width * layout.height)
        self.blend = DeviceBlend(gpu, layout)
        self.empty: tuple[tuple[int, ...], tuple[Image, ...]] | None = None
        self._blurred: DeviceRoom | None = None
        self._resident: Memory | None = None
        self._shown: tuple[Image, ...] | None = None

    def room(
        self, behind: tuple[Image, ...] | None, planes: Sequence[Plane], place: _Place
    ) -> Sequence[Plane] | DeviceRoom:
        """What stands behind, on the GPU; uploaded only when it is another than before."""
        gpu = self._gpu
        if behind is None:
            self._blurred = self._blurred or DeviceRoom(gpu, self.layout)
            self._blurred.enqueue(planes, self.alpha, place.stream)
            return self._blurred
        size = self.layout.size
        self._resident = self._resident or gpu.memory(size)
        if self._shown is not behind:
            place.staged = place.staged or gpu.pinned(size)
            self.layout.fill(place.staged.array, behind)
            gpu.upload(self._resident, place.staged, place.stream)
            self._shown = behind
        return self.layout.planes(self._resident.address)

    def release(self) -> None:
        """Free everything."""
        self.prepare.release()
        self.blend.release()
        for each in (self.guide, self._blurred):
            if each:
                each.release()
        self._gpu.release(self.alpha, *([self._resident] if self._resident else []))
