"""Video4Linux2: the kernel's camera interface, as far as a camera needs it."""

from __future__ import annotations

import errno
import mmap
import os
import select
import sys
from collections.abc import Iterator
from ctypes import c_int32
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

from seg_stream.pipeline.closable import Closable
from seg_stream.pipeline.sources import v4l2_api as api
from seg_stream.pipeline.sources.camera_mode import Mode

BUFFERS = 4
"""What the driver may fill while a picture is decoded; older ones are thrown away unread."""


@dataclass(frozen=True)
class RawPicture:
    """What a driver left in a buffer; `intact` is false where it says that data were lost."""

    data: bytes
    captured_s: float
    intact: bool


class Device(Closable):
    """An open camera. Every method raises OSError as the kernel says it.

    Raises:
        OSError: it cannot be opened, or is none (ENOTTY).
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._buffers: list[mmap.mmap] = []
        self.stride = 0
        try:
            capability = api.Capability()
            self._ask(api.QUERYCAP, capability)
            self.card = _text(capability.card)
            self.bus = _text(capability.bus_info)
            own = capability.capabilities & api.CAP_DEVICE_CAPS
            able = capability.device_caps if own else capability.capabilities
            self.captures = bool(able & api.CAP_VIDEO_CAPTURE)
        except BaseException:
            self.close()
            raise

    def modes(self) -> list[Mode]:
        """Every format, size and rate that it offers; ranges by their ends and usual sizes."""
        found = []
        for description in self._list(api.ENUM_FMT, api.FormatDescription(type=api.CAPTURE)):
            fourcc = description.pixelformat
            for size in self._list(api.ENUM_FRAMESIZES, api.FrameSize(pixelformat=fourcc)):
                for width, height in _sizes(size):
                    asked = api.FrameInterval(pixelformat=fourcc, width=width, height=height)
                    rates: list[Fraction | None] = [
                        rate
                        for interval in self._list(api.ENUM_FRAMEINTERVALS, asked)
                        for rate in _rates(interval)
                    ]
                    found += [
                        Mode(fourcc_name(fourcc), width, height, rate) for rate in rates or [None]
                    ]
        return found

    def set_mode(self, fourcc: str, width: int, height: int, rate: Fraction) -> Mode:
        """Ask for a mode; returns the one that the driver chose."""
        format = api.Format(type=api.CAPTURE)
        pix = format.fmt.pix
        pix.width, pix.height, pix.field = width, height, 0
        pix.pixelformat = int.from_bytes(fourcc.ljust(4).encode(), "little")
        self._ask(api.S_FMT, format)
        self.stride = pix.bytesperline
        parameters = api.Parameters(
            type=api.CAPTURE, numerator=rate.denominator, denominator=rate.numerator
        )
        given: Fraction | None = None
        try:
            self._ask(api.S_PARM, parameters)
            if parameters.numerator and parameters.denominator:
                given = Fraction(parameters.denominator, parameters.numerator)
        except OSError as error:  # a driver need not know about rates
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
        return Mode(fourcc_name(pix.pixelformat), pix.width, pix.height, given)

    def start(self) -> None:
        """Begin to stream."""
        request = api.BufferRequest(count=BUFFERS, type=api.CAPTURE, memory=api.MMAP)
        self._ask(api.REQBUFS, request)
        for index in range(request.count):
            buffer = api.Buffer(index=index, type=api.CAPTURE, memory=api.MMAP)
            self._ask(api.QUERYBUF, buffer)
            self._buffers.append(
                mmap.mmap(
                    self._descriptor,
                    buffer.length,
                    flags=mmap.MAP_SHARED,
                    prot=mmap.PROT_READ | mmap.PROT_WRITE,
                    offset=buffer.offset,
                )
            )
            self._ask(api.QBUF, buffer)
        self._ask(api.STREAMON, c_int32(api.CAPTURE))

    def newest(self, timeout_s: float) -> RawPicture | None:
        """Wait for a picture and take the newest of those that are there; None if none came."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        events = poll.poll(max(0.0, timeout_s) * 1000)
        if not events:
            return None
        last: api.Buffer | None = None
        while (buffer := self._dequeue()) is not None:
            if last is not None:
                self._ask(api.QBUF, last)
            last = buffer
        if last is None:
            if not events[0][1] & select.POLLIN:  # only an error or a hang-up was reported
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            return None
        data = self._buffers[last.index][: last.bytesused]
        picture = RawPicture(data, _captured_s(last), not last.flags & api.FLAG_ERROR)
        self._ask(api.QBUF, last)
        return picture

    def _dequeue(self) -> api.Buffer | None:
        buffer = api.Buffer(type=api.CAPTURE, memory=api.MMAP)
        try:
            self._ask(api.DQBUF, buffer)
        except BlockingIOError:
            return None
        return buffer

    def _ask(self, code: int, argument: Any) -> None:
        import fcntl  # not on Windows

        while True:
            try:
                fcntl.ioctl(self._descriptor, code, argument)
            except InterruptedError:
                continue
            return

    def _list(self, code: int, argument: Any) -> Iterator[Any]:
        """What an enumeration gives: the argument filled again and again, to its end."""
        for index in range(256):  # a driver that never ends is not worth waiting for
            argument.index = index
            try:
                self._ask(code, argument)
            except OSError:
                return
            yield argument

    def close(self) -> None:
        """See `Closable.close`."""
        if self._descriptor < 0:
            return
        for buffer in self._buffers:
            buffer.close()
        os.close(self._descriptor)  # ends the stream and frees the driver's buffers
        self._buffers, self._descriptor = [], -1


def fourcc_name(code: int) -> str:
    """The four letters of a format, such as MJPG."""
    return code.to_bytes(4, "little").decode("latin-1").rstrip(" \0")


def _text(field: Any) -> str:
    return bytes(field).split(b"\0")[0].decode(errors="replace").strip()


USUAL = ((640, 360), (640, 480), (1280, 720), (1920, 1080))


def _sizes(size: api.FrameSize) -> list[tuple[int, int]]:
    sides = list(size.sides)
    if size.type == api.DISCRETE:
        return [(sides[0], sides[1])]
    low_x, high_x, step_x, low_y, high_y, step_y = sides
    fits = [
        (x, y)
        for x, y in USUAL
        if low_x <= x <= high_x
        and low_y <= y <= high_y
        and not (x - low_x) % max(step_x, 1)
        and not (y - low_y) % max(step_y, 1)
    ]
    return fits or [(high_x, high_y)]


def _rates(interval: api.FrameInterval) -> list[Fraction]:
    parts = list(interval.fractions)
    pairs = [(parts[0], parts[1])]
    if interval.type != api.DISCRETE:  # the shortest interval is the first, the longest the second
        pairs.append((parts[2], parts[3]))
    return [Fraction(bottom, top) for top, bottom in pairs if top and bottom]


def _captured_s(buffer: api.Buffer) -> float:
    """When the driver says that the picture was taken, if that can be; else now.

    On Linux `time.perf_counter` is CLOCK_MONOTONIC, by which drivers stamp.
    """
    now_s = perf_counter()
    if buffer.flags & api.FLAG_TIMESTAMP == api.FLAG_MONOTONIC and sys.platform == "linux":
        stamp_s: float = buffer.seconds + buffer.microseconds / 1e6
        if 0 <= now_s - stamp_s < 1:
            return stamp_s
    return now_s
