"""The effect itself: one frame in, the same frame with another background out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import cv2
import numpy as np

from seg_stream.engines.models import DEFAULT
from seg_stream.engines.select import EngineChoice, open_engine
from seg_stream.pipeline.backgrounds import TRANSPARENT, open_background
from seg_stream.pipeline.blend import cut_out
from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.holding import Holding
from seg_stream.pipeline.look import Composer, Look
from seg_stream.pipeline.matte import Matte, MatteSettings
from seg_stream.pipeline.prepare import prepare
from seg_stream.pipeline.runner import Stage
from seg_stream.pipeline.tracking import MaskTracker
from seg_stream.pipeline.types import FloatImage, Image

if TYPE_CHECKING:
    from seg_stream.pipeline.device.effect import DeviceEffect, Ticket


@dataclass(frozen=True, slots=True)
class _Job:
    """A frame on its way, with what was made from that very frame."""

    frame: Frame
    input: FloatImage | None
    """None where a mask is likely to be moved along or held, and where the GPU does everything."""
    mask_hw: FloatImage | None = None
    look: int | None = None
    """The look of the network that the mask is from, where masks are held."""
    held: bool = False
    """The mask is the one of the frame before."""
    ticket: Ticket | None = None
    """Of a frame that is on the GPU."""


class VirtualBackground(Closable):
    """Finds the person in frames and puts a background behind; use it as a context manager.

    Call it with pictures (BGR, uint8) from one thread, or hand its `stages` to the runner.

    Args:
        background: `blur`, `#rrggbb`, `transparent`, or the name of a picture or video file.
        model: name of a shipped model or path of an ONNX file.
        engine: `auto` or an engine's name, or a choice that names the GPU too.
        matte: how the alpha is made.
        look: how person and background are made to fit.
        keep_alpha: let the frames carry their alpha.
        every: run the network on every so many frames and move the mask along in between.
        threads: how many the network uses on a CPU; all cores by default.

    Raises:
        UserError: one of these cannot be used.
    """

    def __init__(
        self,
        background: str | Path = "blur",
        *,
        model: str | Path = DEFAULT,
        engine: str | EngineChoice = "auto",
        matte: MatteSettings | None = None,
        look: Look | None = None,
        keep_alpha: bool = False,
        every: int = 1,
        threads: int | None = None,
    ) -> None:
        if every < 1:
            raise UserError(f"The network cannot run on every {every} frames; give 1 or more.")
        self.transparent = str(background) == TRANSPARENT
        self._background = open_background("#000000" if self.transparent else background)
        self._keep_alpha = keep_alpha or self.transparent
        self._every = every
        self._tracker = MaskTracker()
        self._holding = Holding()
        self._look: int | None = None
        self._last_hw: FloatImage | None = None
        try:
            self.engine = open_engine(engine, model, threads=threads)
        except BaseException:
            self._background.close()
            raise
        self._matte = Matte(matte)
        self._device: DeviceEffect | None = None
        self._compose = Composer(look)
        self._count = 0
        self.stages = (
            Stage("prepare", self._prepare),
            Stage("infer", self._infer),
            Stage("composite", self._composite),
        )

    def __call__(self, frame_bgr: Image) -> Image:
        """Composite one picture, uint8 (H, W, 3) BGR, the next one of a live stream.

        While nothing moves its mask is that of a picture up to a quarter of a second earlier,
        unless `MatteSettings.hold` is 0.

        Raises:
            ValueError: it has another type or shape.
        """
        frame_bgr = np.asarray(frame_bgr)
        shape = frame_bgr.shape
        if frame_bgr.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(f"got {frame_bgr.dtype} {shape}, expected uint8 (H, W, 3)")
        now_s = perf_counter()
        pts = round(now_s * 1000)
        frame = Frame(self._count, (frame_bgr,), "bgr24", Colour(), pts, Fraction(1, 1000), now_s)
        self._count += 1
        return self.process(frame).planes[0]

    @property
    def look(self) -> Look:
        """How person and background are made to fit; may be changed between frames."""
        return self._compose.look

    @look.setter
    def look(self, look: Look) -> None:
        self._compose.look = look

    def process(self, frame: Frame) -> Frame:
        """Do the work of all stages on one frame, in this thread."""
        return self._composite(self._infer(self._prepare(frame)))

    def restart(self, at_s: Fraction = Fraction(0)) -> None:
        """Forget the frames seen; the background is then as `at_s` seconds after its beginning.

        Not while frames are processed in another thread.
        """
        self._matte.restart()
        if self._device:
            self._device.restart()
        self._compose.restart()
        self._tracker.restart()
        self._holding.restart()
        self._background.restart(at_s)

    def _prepare(self, frame: Frame) -> _Job:
        if self._device:  # it takes the frame as it is
            return _Job(frame, None)
        if self._every > 1:
            seen = frame.still or frame.index % self._every == 0
            return _Job(frame, self._input(frame) if seen else None)
        if frame.still:
            self._holding.restart()
        spec, before = self.engine.input, self._holding.look
        small = frame.shrunk(spec.width, spec.height)
        at_s = float(frame.pts * frame.time_base)
        look = self._holding(small, at_s, self._matte.settings.hold)
        return _Job(frame, None if look == before else self._input(frame), look=look)

    def _input(self, frame: Frame) -> FloatImage:
        return prepare(frame, self.engine.input, self.engine.info)

    def _mask(self, job: _Job) -> FloatImage:
        return self.engine.infer(self._input(job.frame) if job.input is None else job.input)

    def _effect_on_device(self) -> DeviceEffect | None:
        """What does everything on the GPU, where the engine is there and sees every frame.

        The choices of a look other than the usual one are made on the CPU.
        """
        whole = self._every == 1 and self.look == Look()
        engine = self.engine.on_device() if whole else None
        if engine is None:
            if self._device:  # the look was changed in the middle of a run
                self._device.settle()
            return None
        from seg_stream.pipeline.device.effect import DeviceEffect

        if self._device is None or self._device.engine is not engine:
            self._device = DeviceEffect(
                engine, self._background, cut=self.transparent, keep_alpha=self._keep_alpha
            )
        return self._device

    def _infer(self, job: _Job) -> _Job:
        device = self._effect_on_device()
        if device:
            return _Job(job.frame, None, ticket=device.begin(job.frame, self._matte.settings))
        if job.frame.still or self._every == 1:
            # Never that of another look, also if one of them failed or was made on a GPU.
            held = job.look is not None and job.look == self._look
            if not held:
                self._last_hw, self._look = self._mask(job), job.look
            return replace(job, mask_hw=self._last_hw, held=held)
        grey = self._tracker.grey(job.frame)
        if job.input is not None or not self._tracker.follows(grey):
            mask_hw = self._tracker.start(grey, self._mask(job))
        else:
            mask_hw = self._tracker.move(grey)
        return replace(job, mask_hw=mask_hw)

    def _composite(self, job: _Job) -> Frame:
        if job.ticket:
            return job.ticket.finish()
        if job.mask_hw is None:
            raise ValueError("the job has no mask; infer comes before composite")
        alpha_hw = self._matte(job.mask_hw, job.frame, held=job.held)
        frame = job.frame
        alpha = cv2.convertScaleAbs(alpha_hw, alpha=255) if self._keep_alpha else None
        kept = None if alpha is None else np.asarray(alpha, np.uint8)
        if self.transparent:
            planes = cut_out(frame.planes, alpha_hw, frame.black(), frame.shrunk)
        else:
            planes = self._compose(frame, alpha_hw, self._background)
        return replace(frame, planes=planes, alpha_hw=kept)

    def close(self) -> None:
        """Free engine and background."""
        self._holding.restart()  # what comes after needs the engine
        self.engine.close()
        self._background.close()
