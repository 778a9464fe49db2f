"""What stands behind the person: a colour, a picture, a looped video, or the blurred room."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path

import cv2
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import bgr_to_planes, to_bgr
from seg_stream.pipeline.shrink import halvings, shrink
from seg_stream.pipeline.sources.container import open_video, video_stream
from seg_stream.pipeline.sources.images import SUFFIXES, read_image
from seg_stream.pipeline.sources.video import NOMINAL_RATE, VideoSource
from seg_stream.pipeline.types import FloatImage, Image

BLUR_ROWS = 100
"""The room is blurred in a picture of about this many rows."""

BLUR_REACH = 0.045
"""Radius of each of the blur's box passes, in heights of the picture, at half strength."""

BLUR_LEAST, BLUR_MOST = 1 / 8, 3.0
"""How much of that it is at no and at full strength."""

FALLOFF = 0.45
"""So far from the person, in heights of the picture, the blur is full where it falls off."""

FALLOFF_LEAST = 0.3
"""The radius right beside the person, as a part of the full one."""

NEAR = 0.011
"""So close to the person, in heights of the picture, nothing is taken for room."""

MIXED = 1 / 8
"""From this alpha on a pixel tells nothing about the room."""


BLUR = "blur"
"""The background that is the room out of focus."""

TRANSPARENT = "transparent"
"""The background that is none: the output carries alpha."""

LONGEST_STEP_S = Fraction(1)
"""A background video moves on by at most this between two frames, and so never has to catch up."""


class Background(ABC):
    """Gives the planes to put behind the person of one frame, in that frame's format and size."""

    @abstractmethod
    def planes(self, frame: Frame, alpha_hw: FloatImage) -> tuple[Image, ...]:
        """Return planes like the frame's; the caller must not write to them."""

    def restart(self, at_s: Fraction) -> None:  # noqa: B027  # most stand still
        """Be as so many seconds after the beginning."""

    def close(self) -> None:  # noqa: B027  # most hold nothing
        """Free what the background holds."""


def open_background(what: str | Path) -> Background:
    """Make a background of what the user wrote: `blur`, `#rrggbb`, or the name of a file.

    Raises:
        UserError: it is none of these.
    """
    what = str(what)
    if what == BLUR:
        return BlurBackground()
    if what.startswith("#"):
        match = re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", what)
        if not match:
            raise UserError(f"The background colour is '{what}', expected #rrggbb, say #00b140.")
        red, green, blue = (int(part, 16) for part in match.groups())
        return StillBackground(np.full((1, 1, 3), (blue, green, red), np.uint8))
    path = Path(what)
    if not path.exists():
        raise UserError(
            f"The background {what} does not exist; give a picture, a video, blur or #rrggbb."
        )
    if path.suffix.lower() in SUFFIXES:
        return StillBackground(read_image(path))
    try:
        return VideoBackground(path)
    except UserError as error:
        raise UserError(
            f"The background {what} is neither a picture nor a video that can be read "
            f"({str(error).rstrip('.')})."
        ) from None


class StillBackground(Background):
    """One picture, cropped to fill the frame; converted once for each kind of frame."""

    def __init__(self, image_bgr: Image) -> None:
        self._image = image_bgr
        self._kind: object = None
        self._planes: tuple[Image, ...] = ()

    def planes(self, frame: Frame, alpha_hw: FloatImage) -> tuple[Image, ...]:
        """See `Background.planes`."""
        kind = (frame.format, frame.width, frame.height, frame.colour)
        if kind != self._kind:
            filled = crop_to_fill(self._image, frame.width, frame.height)
            self._planes = bgr_to_planes(filled, frame.format, frame.colour)
            self._kind = kind
        return self._planes


class VideoBackground(Background):
    """A video at its own speed, started again when it ends.

    Raises:
        UserError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._round_s: Fraction | None = None
        self._begin()
        self._set_clock(Fraction(0))

    def _set_clock(self, time_s: Fraction) -> None:
        self._still = StillBackground(np.zeros((1, 1, 3), np.uint8))
        self._start_s = Fraction(0)  # when this round began, on the background's own clock
        self._clock_s = time_s
        self._last_s: Fraction | None = None

    def restart(self, at_s: Fraction) -> None:
        """See `Background.restart`."""
        self._source.close()
        self._begin()
        if at_s and self._round_s is None:
            self._round_s = _length_s(self._path)
        self._set_clock(at_s % self._round_s if self._round_s else Fraction(0))

    def planes(self, frame: Frame, alpha_hw: FloatImage) -> tuple[Image, ...]:
        """See `Background.planes`."""
        now_s = frame.pts * frame.time_base
        if self._last_s is not None:  # after a pause it goes on where it was
            self._clock_s += min(max(now_s - self._last_s, Fraction(0)), LONGEST_STEP_S)
        self._last_s = now_s
        newest: Frame | None = None
        while self._next and self._time_s(self._next) <= self._clock_s:
            newest = self._next
            self._advance()
        if newest:
            self._still = StillBackground(to_bgr(newest))
        return self._still.planes(frame, alpha_hw)

    def _begin(self) -> None:
        self._source = VideoSource(self._path)
        self._frames = iter(self._source)
        self._next: Frame | None = next(self._frames)
        self._first_pts = self._next.pts

    def _time_s(self, frame: Frame) -> Fraction:
        return self._start_s + (frame.pts - self._first_pts) * frame.time_base

    def _advance(self) -> None:
        last, self._next = self._next, next(self._frames, None)
        if self._next or last is None or last.index == 0:
            return  # a video of one frame is a picture
        self._start_s = self._time_s(last) + 1 / self._source.rate
        self._source.close()
        self._begin()

    def close(self) -> None:
        """See `Background.close`."""
        self._source.close()


def _length_s(path: Path) -> Fraction:
    """How long a video is shown, from its first to after its last frame; 0 if it has no times."""
    with open_video(path) as container:
        stream = video_stream(container)
        packets = container.demux(stream)
        times = [p.pts for p in packets if p.pts is not None and p.size and not p.is_discard]
        if not times or not stream.time_base:
            return Fraction(0)
        rate = stream.average_rate or NOMINAL_RATE
        return (max(times) - min(times)) * stream.time_base + 1 / Fraction(rate)


class BlurBackground(Background):
    """The room itself, out of focus, made of room pixels only so that the person leaves no halo.

    `strength`, 0..1, says how far out of focus, and `falloff` whether it is less so the nearer to
    the person, as if the room went into the depth; both hold from the next frame on.
    """

    def __init__(self, strength: float = 0.5, *, falloff: bool = False) -> None:
        self.strength, self.falloff = strength, falloff

    def planes(self, frame: Frame, alpha_hw: FloatImage) -> tuple[Image, ...]:
        """See `Background.planes`."""
        reach = blur_reach(self.strength)
        # A weak blur needs a finer picture.
        rows = BLUR_ROWS if reach >= BLUR_REACH / 2 else 3 * BLUR_ROWS
        factor = halvings(frame.height, rows)
        width, height = -(-frame.width // factor), -(-frame.height // factor)
        alpha = shrink(alpha_hw, width, height)
        # Keep a distance to the person: mixed pixels still carry its colour.
        side = 2 * ceil(NEAR * height) + 1
        near = np.asarray(cv2.dilate(alpha, np.ones((side, side), np.uint8)), np.float32)
        room = np.clip(1 - near / np.float32(MIXED), 0, 1)
        depth = _depth(room) if self.falloff else None
        if frame.format == "bgr24":
            channels = [np.asarray(each, np.uint8) for each in cv2.split(frame.planes[0])]
            return (np.asarray(cv2.merge(_blur(channels, room, reach, depth)), np.uint8),)
        return tuple(_blur(frame.planes, room, reach, depth))


def blur_reach(strength: float) -> float:
    """The radius of one of the blur's passes, in heights of the picture, for a strength 0..1."""
    factor = BLUR_LEAST if strength < 0.5 else 1 / BLUR_MOST
    return float(BLUR_REACH * factor ** (1 - 2 * strength))


def _depth(room: FloatImage) -> FloatImage:
    """0 beside the person to 1 far from it, without a visible step."""
    if room.all():
        return np.ones_like(room)
    distance = cv2.distanceTransform((room > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    share = np.minimum(distance / np.float32(FALLOFF * room.shape[0]), 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _blur(
    planes: Sequence[Image], room: FloatImage, reach: float, depth: FloatImage | None
) -> list[Image]:
    """Blur planes where `room`, of a small size, is 1, and fill the rest from there."""
    height, width = room.shape
    radius = max(1, round(reach * height))
    pictures = [shrink(plane, width, height).astype(np.float32) for plane in planes]
    means = [_mean(picture, room) for picture in pictures]
    # Fill the person's place from ever farther away, then blur: no hole is left in the middle.
    spacing = max(1, round(BLUR_REACH * height))
    for step in (spacing, 4 * spacing, 16 * spacing):
        side = (2 * step + 1, 2 * step + 1)
        known = cv2.blur(room, side)
        total = known + np.float32(1e-4)
        pictures = [
            _over(picture, room, cv2.blur(picture * room, side) / total) for picture in pictures
        ]
        room = np.maximum(room, np.minimum(known * 50, 1))
    pictures = [_over(each, room, mean) for each, mean in zip(pictures, means, strict=True)]
    blurred = [_out_of_focus(picture, radius) for picture in pictures]
    if depth is not None:
        least = max(1, round(FALLOFF_LEAST * radius))
        near = [_out_of_focus(picture, least) for picture in pictures]
        blurred = [_over(far, depth, each) for far, each in zip(blurred, near, strict=True)]
    return [_enlarge(each, plane) for each, plane in zip(blurred, planes, strict=True)]


def _out_of_focus(picture: FloatImage, radius: int) -> FloatImage:
    side = (2 * radius + 1, 2 * radius + 1)
    for _ in range(3):  # three boxes are nearly a Gaussian
        picture = np.asarray(cv2.blur(picture, side), np.float32)
    return picture


def _over(picture: FloatImage, weight: FloatImage, behind: FloatImage | float) -> FloatImage:
    return np.asarray(behind + weight * (picture - behind), np.float32)


def _enlarge(picture: FloatImage, like: Image) -> Image:
    fine = (picture * 64).astype(np.int16)  # smooth enough, and half the memory
    full = cv2.resize(fine, like.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.convertScaleAbs(full, alpha=1 / 64), np.uint8)  # it rounds


def _mean(picture: FloatImage, weight: FloatImage) -> float:
    """The room's mean; where there is no room at all, the picture's."""
    weight = weight + np.float32(1e-4)
    return float((picture * weight).sum() / weight.sum())


def crop_to_fill(image: Image, width: int, height: int) -> Image:
    """Scale a picture so that it covers the size, and cut what juts out on both sides alike."""
    scale = max(width / image.shape[1], height / image.shape[0])
    # Cut before scaling: a thin strip scaled to cover would be huge.
    w = min(image.shape[1], max(1, round(width / scale)))
    h = min(image.shape[0], max(1, round(height / scale)))
    x, y = (image.shape[1] - w) // 2, (image.shape[0] - h) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut = image[y : y + h, x : x + w]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=interpolation), np.uint8)
