"""A camera by its number, through OpenCV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import perf_counter

# Read by OpenCV when the first capture opens: a stalled camera must not block for its 10 s.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.contract import Source

MICROSECOND = Fraction(1, 1_000_000)


class CameraSource(Source):
    """Frames of a live camera, stamped when they arrive; asks for MJPG at the given size and rate.

    Raises:
        UserError: there is no such camera, it is busy, or it gives no picture.
    """

    live = True

    def __init__(self, number: int, *, width: int = 1280, height: int = 720, fps: int = 30) -> None:
        super().__init__()
        self.name = f"camera {number}"
        self.time_base = MICROSECOND
        self._number = number
        self._capture = _open(number)
        try:
            for setting, value in (
                (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
                (cv2.CAP_PROP_FRAME_WIDTH, width),
                (cv2.CAP_PROP_FRAME_HEIGHT, height),
                (cv2.CAP_PROP_FPS, fps),
            ):
                self._capture.set(setting, value)
            got, first = self._capture.read()
            if not got:
                raise UserError(
                    f"Camera {number} opens but gives no picture; is another program using it?"
                )
            self.height, self.width = first.shape[:2]
            reported = self._capture.get(cv2.CAP_PROP_FPS)
            self.rate = Fraction(round(reported)) if 1 <= reported <= 1000 else Fraction(fps)
            if (self.width, self.height) != (width, height):
                self.notes.append(
                    f"Camera {number} gives {self.width}x{self.height} instead of {width}x{height}."
                )
        except BaseException:
            self._capture.release()
            raise

    def __iter__(self) -> Iterator[Frame]:
        index, start_s, last_pts = 0, perf_counter(), -1
        while True:
            got, image = self._capture.read()
            now_s = perf_counter()
            if not got:
                raise UserError(f"Camera {self._number} stopped giving pictures; is it unplugged?")
            pts = max(last_pts + 1, round((now_s - start_s) / MICROSECOND))
            last_pts = pts
            yield Frame(
                index, (np.asarray(image, np.uint8),), "bgr24", Colour(), pts, MICROSECOND, now_s
            )
            index += 1

    def close(self) -> None:
        """See `Source.close`."""
        self._capture.release()


def _open(number: int) -> cv2.VideoCapture:
    if number < 0:
        raise UserError(f"Camera {number} is not a camera; they are counted from 0.")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if capture.isOpened():
        return capture
    capture.release()
    found = sorted(str(path) for path in Path("/dev").glob("video*"))
    there = f"found {', '.join(found)}" if found else "found none on this machine"
    raise UserError(
        f"Camera {number} cannot be opened ({there}); check the number and that no other program "
        "is using it."
    )
