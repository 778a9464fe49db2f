"""A camera by its number, through OpenCV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import perf_counter, sleep

# Read by OpenCV when the first capture opens: a stalled camera must not block for its 10 s.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")

import cv2
import numpy as np

from seg_stream.pipeline.colour import Colour
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.sources.contract import Source
from seg_stream.pipeline.types import Image

MICROSECOND = Fraction(1, 1_000_000)

PATIENCE_S = 3.0
"""How long a camera may give nothing, at its start or in between, before it counts as gone."""


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
            first = self._read()
            if first is None:
                raise UserError(
                    f"Camera {number} opens but gives no picture; is another program using it?"
                )
            self.height, self.width = first.shape[:2]
            reported = self._capture.get(cv2.CAP_PROP_FPS)
            self.rate = Fraction(round(reported)) if 1 <= reported <= 1000 else Fraction(fps)
            self._note_negotiation(f"{width}x{height} MJPG at {fps} fps")
        except BaseException:
            self._capture.release()
            raise

    def _note_negotiation(self, wanted: str) -> None:
        """Say what the camera really gives where it is not what was asked for."""
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        kind = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24)).strip("\0 ") or "?"
        given = f"{self.width}x{self.height} {kind} at {self.rate} fps"
        if given != wanted:
            self.notes.append(f"Camera {self._number} gives {given} instead of {wanted}.")

    def _read(self) -> Image | None:
        """The next picture, or None when there was none for some seconds."""
        deadline_s = perf_counter() + PATIENCE_S
        while perf_counter() < deadline_s:
            got, image = self._capture.read()
            if got:
                return np.asarray(image, np.uint8)
            sleep(0.05)
        return None

    def __iter__(self) -> Iterator[Frame]:
        index, start_s, last_pts = 0, perf_counter(), -1
        while (image := self._read()) is not None:
            now_s = perf_counter()
            pts = max(last_pts + 1, round((now_s - start_s) / MICROSECOND))
            last_pts = pts
            yield Frame(index, (image,), "bgr24", Colour(), pts, MICROSECOND, now_s)
            index += 1
        # What was recorded until here is whole, so this is a note and not an error.
        self.notes.append(f"Camera {self._number} stopped giving pictures; is it unplugged?")

    def close(self) -> None:
        """See `Source.close`."""
        self._capture.release()


def _open(number: int) -> cv2.VideoCapture:
    if not 0 <= number < 1000:
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
