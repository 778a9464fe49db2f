"""What leaves a session: the person before the background, or the placeholder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from seg_stream.pipeline.colour import FULL_RANGE, Colour
from seg_stream.pipeline.errors import SegStreamError
from seg_stream.pipeline.frame import Frame, plane_sizes
from seg_stream.pipeline.live.absence import Absence
from seg_stream.pipeline.live.clock import Clock
from seg_stream.pipeline.live.controls import Controls
from seg_stream.pipeline.live.latency import Delays, Ledger, Rate
from seg_stream.pipeline.live.outlet import Outlet, Showing
from seg_stream.pipeline.live.placeholder import Kind, placeholder
from seg_stream.pipeline.live.settings import LiveSettings
from seg_stream.pipeline.live.shelf import Shelf
from seg_stream.pipeline.live.worker import OLDEST_MASK_S, Masked
from seg_stream.pipeline.look import Composer
from seg_stream.pipeline.matte import Matte
from seg_stream.pipeline.picture import bgr_to_planes, to_bgr
from seg_stream.pipeline.types import FloatImage, Image

MICROSECOND = Fraction(1, 1_000_000)

LATEST_S = 0.25
"""A picture captured longer ago than this is out of step with the person and not put out."""

FREEZE_S = 0.3
"""So long the last good picture may stand before the placeholder takes its place."""

STEADY = 3
"""So many pictures in time in a row end the placeholder of a machine that was too slow."""

AGAIN_S = 0.1
"""The placeholder is put out so often: programs that read a camera want to hear from it."""

FIRST_WAIT_S = 1.0
"""So long the outputs wait for the first frame, to be made for pictures of its kind."""

JPEG_COLOUR = Colour(5, FULL_RANGE)
"""BT.601 in full range, as of nearly every camera."""


class Presenter:
    """Takes masked frames and says what is seen; used from one thread.

    Every frame it gets is counted as shown, or as dropped for a reason. Nothing of a frame without
    a mask that is good and young reaches an output.
    """

    def __init__(
        self,
        size: tuple[int, int],
        controls: Controls,
        shelf: Shelf,
        outlets: Sequence[Outlet],
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._size, self._controls, self._shelf, self._outlets = size, controls, shelf, outlets
        self._clock, self._say = clock, say
        self._matte = Matte()
        self._composer = Composer()
        self._mirrored = False
        self._kind: Kind | None = None
        self._start_s = clock.now_s()
        self._last_pts = -1
        self._index = 0
        self._good_s = self._start_s
        self._stood_in_s = -1.0
        self._in_time = 0
        self._since_s = self._start_s
        self.absence: Absence | None = Absence.STARTING
        self.detail = ""
        self.ledger = Ledger()
        self.mask_age = Delays()
        self.rate = Rate()

    def begin(self) -> None:
        """Take this moment for the beginning."""
        self._start_s = self._good_s = self._since_s = self._clock.now_s()

    def present(self, masked: Masked) -> None:
        """Show a frame, or say why not."""
        frame, settings = masked.frame, self._controls.current
        if self._kind is None:
            self._kind = Kind(frame.width, frame.height, frame.format, frame.colour)
        if settings.paused:
            self._refuse(Absence.PAUSED, "", at_once=True)
        elif masked.mask_hw is None:
            self._refuse(masked.absence, masked.detail, at_once=True)
        elif self._is_late(masked):
            self._refuse(Absence.LATE, self._why_late(masked), at_once=False)
        elif self._is_unsteady():
            self._refuse(Absence.LATE, self.detail, at_once=False)
        else:
            try:
                shown = self._compose(frame, masked.mask_hw, settings)
            except Exception as error:  # whatever goes wrong, the room must not be shown
                self._shelf.failed()
                text = " ".join(str(error).split()) or type(error).__name__
                if not isinstance(error, SegStreamError):
                    text = f"The picture could not be composed: {text}."
                self._refuse(Absence.BACKGROUND, text, at_once=True)
                return
            if shown is None:
                self._refuse(Absence.BACKGROUND, "There is no background.", at_once=True)
            elif self._is_late(masked):
                self._refuse(Absence.LATE, self._why_late(masked), at_once=False)
            else:
                self._show(shown, masked.seen_s)

    def idle(self, absence: Absence | None, detail: str) -> None:
        """Nothing came for a moment: keep the placeholder going, or begin with it.

        Args:
            absence: why there is no picture; None if it is only a moment.
            detail: a sentence about it for the log.
        """
        if self._controls.current.paused:
            absence, detail = Absence.PAUSED, ""
        absence = absence or self.absence
        if absence:
            self._stand_in(absence, detail or self.detail)

    def _is_late(self, masked: Masked) -> bool:
        frame_s = masked.frame.captured_s
        late = frame_s - masked.seen_s > OLDEST_MASK_S or self._clock.now_s() - frame_s > LATEST_S
        self._in_time = 0 if late else self._in_time + 1
        return late

    def _is_unsteady(self) -> bool:
        """Whether a slow machine has not shown yet that it keeps up."""
        return self.absence is Absence.LATE and self._in_time < STEADY

    def _why_late(self, masked: Masked) -> str:
        frame_s = masked.frame.captured_s
        late_ms, age_ms = 1000 * (self._clock.now_s() - frame_s), 1000 * (frame_s - masked.seen_s)
        if age_ms > 1000 * OLDEST_MASK_S:
            return f"The mask is {age_ms:.0f} ms older than the picture."
        return (
            f"The picture is {late_ms:.0f} ms behind; the machine is too busy, or the --model too "
            "large for it."
        )

    def _refuse(self, absence: Absence, detail: str, *, at_once: bool) -> None:
        self.ledger.drop(absence)
        if not at_once and self.absence is None and self._clock.now_s() - self._good_s < FREEZE_S:
            return  # a hiccup: the last good picture stands
        self._stand_in(absence, detail)

    def _stand_in(self, absence: Absence, detail: str) -> None:
        """Put out the placeholder if it is another one than before, or due again."""
        now_s = self._clock.now_s()
        if self._kind is None:
            if now_s - self._start_s < FIRST_WAIT_S:
                return
            odd = (self._size[0] | self._size[1]) % 2
            self._kind = Kind(*self._size, "yuv444p" if odd else "yuv420p", JPEG_COLOUR)
        changed = absence != self.absence
        if changed:
            if self.absence is None:
                self._since_s = now_s
            if detail or not absence.wanted:
                self._say(f"Placeholder instead of the picture: {detail or f'{absence}.'}")
            self._matte.restart()
            self._composer.restart()
        self.absence, self.detail = absence, detail
        if not changed and now_s - self._stood_in_s < AGAIN_S - 1e-6:
            return
        self._stood_in_s = now_s
        kind = self._kind
        planes = placeholder(kind, absence.label)
        frame = Frame(0, planes, kind.format, kind.colour, 0, MICROSECOND, now_s)
        self._put_out(frame, real=False)
        self.ledger.stand_in()

    def _show(self, frame: Frame, seen_s: float) -> None:
        now_s = self._clock.now_s()
        if self.absence is not None:
            if not self.absence.wanted:
                self._say(f"The picture is back after {now_s - self._since_s:.1f} s.")
            self.absence, self.detail = None, ""
        self._good_s = now_s
        self._put_out(frame, real=True)
        self.ledger.show()
        self.mask_age.add(frame.captured_s - seen_s)
        self.rate.add(now_s)

    def _put_out(self, frame: Frame, *, real: bool) -> None:
        pts = max(self._last_pts + 1, round((frame.captured_s - self._start_s) / MICROSECOND))
        showing = Showing(replace(frame, index=self._index, pts=pts, time_base=MICROSECOND), real)
        self._last_pts = pts
        self._index += 1
        for outlet in self._outlets:
            outlet.offer(showing)

    def _compose(self, frame: Frame, mask_hw: FloatImage, settings: LiveSettings) -> Frame | None:
        """The picture that is seen; None if there is no background."""
        if settings.mirror != self._mirrored:
            self._mirrored = settings.mirror
            self._matte.restart()
        if settings.mirror:
            frame = replace(frame, planes=tuple(_flip(plane) for plane in frame.planes))
            mask_hw = np.ascontiguousarray(mask_hw[:, ::-1])
        self._matte.settings = settings.matte
        alpha_hw = self._matte(mask_hw, frame)
        if settings.mask_view:
            planes = _grey(alpha_hw, frame)
        else:
            background = self._shelf.get(settings.background, frame)
            if background is None:
                return None
            self._composer.look = settings.look
            planes = self._composer(frame, alpha_hw, background)
        return self._like_the_first(replace(frame, planes=planes))

    def _like_the_first(self, frame: Frame) -> Frame:
        """Files and cameras were made for frames of one kind; others are converted."""
        kind = self._kind
        if kind is None or kind == Kind(frame.width, frame.height, frame.format, frame.colour):
            return frame
        image_bgr = to_bgr(frame)
        if image_bgr.shape[:2] != (kind.height, kind.width):
            image_bgr = np.asarray(cv2.resize(image_bgr, (kind.width, kind.height)), np.uint8)
        planes = bgr_to_planes(image_bgr, kind.format, kind.colour)
        return replace(frame, planes=planes, format=kind.format, colour=kind.colour)


def _flip(plane: Image) -> Image:
    return np.asarray(cv2.flip(plane, 1), np.uint8)


def _grey(alpha_hw: FloatImage, frame: Frame) -> tuple[Image, ...]:
    """The alpha as a picture of the frame's kind."""
    if frame.format == "bgr24":
        grey = np.asarray(cv2.convertScaleAbs(alpha_hw, alpha=255), np.uint8)
        return (np.asarray(cv2.merge([grey, grey, grey]), np.uint8),)
    dark, bright = (0, 255) if frame.colour.full_range else (16, 235)
    luma = np.asarray(cv2.convertScaleAbs(alpha_hw, alpha=bright - dark, beta=dark), np.uint8)
    sizes = plane_sizes(frame.format, frame.width, frame.height)[1:]
    return (luma, *(np.full(size, 128, np.uint8) for size in sizes))
