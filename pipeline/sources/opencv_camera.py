"""A camera by its number through OpenCV, for systems that are not Linux."""

from __future__ import annotations

from fractions import Fraction
from time import perf_counter, sleep

import av
import cv2
import numpy as np

from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.sources.camera_mode import Mode, explain
from seg_stream.pipeline.sources.contract import Feed, FeedLostError, Shot

PATIENCE_S = 3.0
"""How long a camera may give nothing before it counts as gone; it tells in no other way."""


class OpenCvFeed(Feed):
    """Frames stamped when they arrive; asks for MJPG at the given size and rate.

    Raises:
        UserError: there is no such camera, it is busy, or it gives no picture.
    """

    def __init__(self, number: int, width: int, height: int, rate: Fraction) -> None:
        super().__init__()
        self.name = f"Camera {number}"
        self._capture = _open(number)
        try:
            for setting, value in (
                (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
                (cv2.CAP_PROP_FRAME_WIDTH, width),
                (cv2.CAP_PROP_FRAME_HEIGHT, height),
                (cv2.CAP_PROP_FPS, float(rate)),
            ):
                self._capture.set(setting, value)
            first = self.read(PATIENCE_S)
            if first is None:
                raise UserError(
                    f"Camera {number} opens but gives no picture; is another program using it?"
                )
            self.width, self.height = first.picture.width, first.picture.height
            reported = self._capture.get(cv2.CAP_PROP_FPS)
            self.rate = Fraction(round(reported)) if 1 <= reported <= 1000 else rate
            given = Mode(self._fourcc(), self.width, self.height, self.rate)
            self.mode = str(given)
            self.notes += explain(self.name, given, Mode("MJPG", width, height, rate), [], None)
        except BaseException:
            self._capture.release()
            raise

    def _fourcc(self) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        letters = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24)).strip("\0 ")
        return letters if letters.isprintable() and letters else "video"

    def read(self, timeout_s: float) -> Shot | None:
        """See `Feed.read`; OpenCV itself may block for longer."""
        end_s = perf_counter() + timeout_s
        while self._capture.isOpened():
            got, image = self._capture.read()
            if got:
                picture = av.VideoFrame.from_ndarray(np.asarray(image, np.uint8), format="bgr24")
                return Shot(picture, perf_counter())
            if perf_counter() >= end_s:
                return None
            sleep(0.02)
        raise FeedLostError(f"{self.name} was closed.")

    def close(self) -> None:
        """See `Closable.close`."""
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
    raise UserError(
        f"Camera {number} cannot be opened; check the number and that no other program is using it."
    )
