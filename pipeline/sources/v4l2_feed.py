"""A camera of a Linux machine: MJPG or raw, stamped by the kernel, the newest picture only."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from time import perf_counter

import av
import numpy as np

from seg_stream.pipeline.device_users import users
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.camera_mode import COMPRESSED, PACKED, Mode, choose, explain
from seg_stream.pipeline.sources.cameras import Camera
from seg_stream.pipeline.sources.contract import Feed, FeedLostError, Shot
from seg_stream.pipeline.sources.mjpeg import JpegDecoder
from seg_stream.pipeline.sources.v4l2 import Device, RawPicture


class V4l2Feed(Feed):
    """Opens a camera in the mode that is nearest to the wanted one.

    Raises:
        UserError: it is gone, busy, may not be opened, or gives no format that can be read.
    """

    def __init__(self, camera: Camera, width: int, height: int, rate: Fraction) -> None:
        super().__init__()
        self.name = f"Camera {camera.number} ({camera.name})"
        self._decoder = JpegDecoder()
        try:
            self._device = Device(camera.path)
            try:
                self._negotiate(camera, Mode("", width, height, rate))
                self._device.start()
            except BaseException:
                self._device.close()
                raise
        except OSError as error:
            raise UserError(f"{self.name} {_why(error, camera)}") from None

    def _negotiate(self, camera: Camera, wanted: Mode) -> None:
        rate = wanted.rate or Fraction(30)
        modes = self._device.modes()
        best = choose(modes, wanted.width, wanted.height, rate)
        if best is None and modes:
            offered = ", ".join(sorted({mode.fourcc for mode in modes}))
            raise UserError(
                f"{self.name} offers {offered} only, expected one of "
                f"{', '.join([*COMPRESSED, *PACKED])}; use another camera."
            )
        best = best or Mode("MJPG", wanted.width, wanted.height, rate)  # it does not tell
        given = self._device.set_mode(best.fourcc, best.width, best.height, best.rate or rate)
        if not given.readable:
            raise UserError(
                f"{self.name} insists on {given.fourcc}, expected one of "
                f"{', '.join([*COMPRESSED, *PACKED])}; use another camera."
            )
        self._mode, self.mode = given, str(given)
        self.width, self.height = given.width, given.height
        self.rate = given.rate or rate
        self.notes += explain(self.name, given, wanted, modes, camera.usb_mbits_s)

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`."""
        end_s = perf_counter() + timeout_s
        while True:
            left_s = end_s - perf_counter()
            try:
                raw = self._device.newest(left_s)
            except OSError as error:
                raise FeedLostError(f"{self.name} was lost ({_text(error)}).") from None
            picture = self._decode(raw) if raw and raw.intact else None
            if raw and picture:
                return Shot(picture, raw.captured_s)
            self.damaged += raw is not None
            if left_s <= 0:
                return None

    def _decode(self, raw: RawPicture) -> av.VideoFrame | None:
        if self._mode.fourcc in COMPRESSED:
            return self._decoder.decode(raw.data)
        picture = av.VideoFrame(self.width, self.height, PACKED[self._mode.fourcc])
        return picture if _fill(picture, raw.data, self._device.stride) else None

    def close(self) -> None:
        """See `Closable.close`."""
        self._device.close()


def _fill(picture: av.VideoFrame, data: bytes, stride: int) -> bool:
    """Copy rows of `stride` bytes into a picture; false if there are too few.

    Planes that are narrower have a stride that is smaller by as much, as V4L2 says.
    """
    values, begin = np.frombuffer(data, np.uint8), 0
    for index, plane in enumerate(picture.planes):
        wide = _row_bytes(picture, index)
        step = max(wide, stride * wide // _row_bytes(picture, 0))
        end = begin + step * (plane.height - 1) + wide
        if end > len(values):
            return False
        rows = np.lib.stride_tricks.as_strided(values[begin:], (plane.height, wide), (step, 1))
        target = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        target[:, :wide] = rows
        begin += step * plane.height
    return True


def _row_bytes(picture: av.VideoFrame, index: int) -> int:
    name, width = picture.format.name, picture.width
    if name in ("yuyv422", "uyvy422"):
        return 2 * width
    if name in ("bgr24", "rgb24"):
        return 3 * width
    if index and name == "nv12":
        return (width + 1) // 2 * 2
    return (width + 1) // 2 if index else width


def _why(error: OSError, camera: Camera) -> str:
    if error.errno == errno.EBUSY:
        names = ", ".join(users(camera.path))
        return f"is used by {names or 'another program'}; close that first."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"may not be opened; add yourself to the group that owns {camera.path} (video)."
    if error.errno in (errno.ENODEV, errno.ENOENT, errno.ENXIO):
        return "is not there; is it unplugged?"
    return f"cannot be opened ({_text(error)}); check that no other program is using it."


def _text(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
