"""Video files made for the tests, and what is inside those that the tests get back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[Any]
Planes = tuple[Plane, ...]
Yuv = tuple[int, int, int]

ROOM: Yuv = (50, 140, 118)
PERSON: Yuv = (200, 100, 150)
"""Dark and bright: the brightness model tells them apart."""

LOSSLESS = {"preset": "ultrafast", "qp": "0"}

_SHIFT = {"420": (1, 1), "422": (0, 1), "444": (0, 0)}


def solid(format: str, width: int, height: int, yuv: Yuv) -> Planes:
    """One colour, as 8-bit planes of a YUV format."""
    down, across = _SHIFT[format.removeprefix("yuvj").removeprefix("yuv")[:3]]
    chroma = (-(-height >> down), -(-width >> across))
    return tuple(
        np.full(size, value, np.uint8)
        for size, value in zip([(height, width), chroma, chroma], yuv, strict=True)
    )


def paint(planes: Planes, x: int, y: int, width: int, height: int, yuv: Yuv) -> None:
    """Fill a box whose corners lie on whole chroma pixels."""
    for plane, value in zip(planes, yuv, strict=True):
        down = -(-planes[0].shape[0] // plane.shape[0])
        across = -(-planes[0].shape[1] // plane.shape[1])
        plane[y // down : (y + height) // down, x // across : (x + width) // across] = value


def person_in_room(
    format: str = "yuv420p", width: int = 96, height: int = 64, *, x: int = 32, y: int = 16
) -> Planes:
    """A bright box of 32x32, the person, in a dark room."""
    planes = solid(format, width, height, ROOM)
    paint(planes, x, y, 32, 32, PERSON)
    return planes


PLACES = [(x, y) for y in (0, 32) for x in (0, 32, 64)]
"""Corners of the six boxes in which `hopping` can stand."""


def hopping(index: int, format: str = "yuv420p", width: int = 96, height: int = 64) -> Planes:
    """A person who is somewhere else in every frame, so that a late mask misses it."""
    x, y = PLACES[index * 5 % len(PLACES)]
    return person_in_room(format, width, height, x=x, y=y)


def write_video(
    path: Path,
    pictures: Iterable[Planes],
    format: str = "yuv420p",
    *,
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    colour: tuple[int, int, int, int] = (2, 0, 2, 2),
    aspect: Fraction | None = None,
    rotation: int = 0,
    sound: tuple[Fraction, Fraction] | None = None,
    title: str = "",
) -> Path:
    """Encode planes, without loss if not told otherwise.

    `times` count `time_base`; `colour` is matrix, range, primaries and transfer; `sound` is where a
    tone begins and how long it lasts, in seconds.
    """
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.options = LOSSLESS if options is None and codec == "libx264" else options or {}
        context = stream.codec_context
        base = time_base or 1 / Fraction(rate)
        context.time_base = base
        context.colorspace, context.color_range = colour[:2]
        context.color_primaries, context.color_trc = colour[2:]
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        if title:
            container.metadata["title"] = title
        tone: Any = container.add_stream("aac", rate=48000) if sound else None
        for index, planes in enumerate(pictures):
            picture = picture_of(planes, format, colour)
            if index == 0:
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, format
            picture.pts, picture.time_base = times[index] if times else index, base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound:
            _write_tone(container, tone, *sound)
    return path


def picture_of(planes: Planes, format: str, colour: tuple[int, int, int, int]) -> av.VideoFrame:
    """Planes of 8 bits as a picture of PyAV, with more bits where the format has more."""
    height, width = planes[0].shape[:2]
    picture = av.VideoFrame(width, height, format)
    extra = picture.format.components[0].bits - 8
    for target, plane in zip(picture.planes, planes, strict=True):
        kind = np.uint16 if extra else np.uint8
        rows = np.frombuffer(target, np.uint8).reshape(target.height, target.line_size).view(kind)
        rows[:, : target.width] = plane.astype(kind) << extra
    picture.colorspace, picture.color_range = colour[:2]
    picture.color_primaries, picture.color_trc = colour[2:]
    return picture


def _write_tone(container: Any, stream: Any, begin_s: Fraction, length_s: Fraction) -> None:
    rate = 48000
    count = round(length_s * rate)
    wave = np.sin(np.arange(count) * (2 * np.pi * 440 / rate)).astype(np.float32) * 0.5
    wave += np.random.default_rng(1).normal(0, 0.05, count).astype(np.float32)
    for start in range(0, count, 1024):
        chunk = np.repeat(wave[None, start : start + 1024], 2, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(chunk), "fltp", "stereo")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(begin_s * rate) + start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@dataclass(frozen=True)
class Shown:
    """One decoded picture: when it is shown, its planes as 8 bits, and what PyAV says of it."""

    time_s: Fraction
    planes: Planes
    picture: av.VideoFrame

    def bgr(self) -> Plane:
        return self.picture.to_ndarray(format="bgr24")


def read_video(path: Path) -> list[Shown]:
    """Decode everything, as it is stored."""
    with av.open(str(path)) as container:
        return [
            Shown(picture.pts * picture.time_base, planes_of(picture), picture)
            for picture in container.decode(video=0)
        ]


def planes_of(picture: av.VideoFrame) -> Planes:
    """Copies of the planes, as 8 bits."""
    extra = picture.format.components[0].bits - 8
    result = []
    for plane in picture.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        values = rows.view(np.uint16) >> extra if extra else rows
        result.append(values[:, : plane.width].astype(np.uint8))
    return tuple(result)


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """The time and the bytes of every packet of the first audio, video or subtitle stream."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def yuv_of(rgb: tuple[int, int, int], matrix: str, full_range: bool = False) -> Yuv:
    """The YUV of a colour, by the text of ITU-R BT.601, BT.709 and BT.2020."""
    red, green, blue = (value / 255 for value in rgb)
    kr, kb = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    u, v = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    if full_range:
        return round(255 * luma), round(128 + 255 * u), round(128 + 255 * v)
    return round(16 + 219 * luma), round(128 + 224 * u), round(128 + 224 * v)


def inner(planes: Planes, x: int, y: int, width: int, height: int, margin: int = 0) -> list[Plane]:
    """The pixels of a box of the picture in every plane, less a margin of picture pixels."""
    result = []
    for plane in planes:
        down = -(-planes[0].shape[0] // plane.shape[0])
        across = -(-planes[0].shape[1] // plane.shape[1])
        top, bottom = (y + margin) // down, (y + height - margin) // down
        left, right = (x + margin) // across, (x + width - margin) // across
        result.append(plane[top:bottom, left:right])
    return result


def assert_colour(pixels: Sequence[Plane], yuv: Yuv, tolerance: float) -> None:
    """Every pixel of every plane is within the tolerance of a colour."""
    for name, plane, value in zip("YUV", pixels, yuv, strict=True):
        assert plane.size
        off = np.abs(plane.astype(int) - value).max()
        assert off <= tolerance, f"{name} is off by {off}: {np.unique(plane)}, expected {value}"
