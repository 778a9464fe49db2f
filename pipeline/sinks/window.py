"""The preview window."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import perf_counter

import cv2

from seg_stream.pipeline.display import why_no_screen
from seg_stream.pipeline.errors import UserError
from seg_stream.pipeline.frame import Frame
from seg_stream.pipeline.picture import to_bgr
from seg_stream.pipeline.sinks.contract import Sink

TITLE = "seg-stream (q to quit)"
ESCAPE = 27
NO_KEY = 255

CAPTION_S = 0.5
"""How often the title is set anew."""


class WindowSink(Sink):
    """Shows frames; sets `stop` when the user presses q or Escape or closes the window.

    Args:
        stop: see above.
        press: called with the character of any other key, in the thread that writes.
        caption: what stands in the title, asked for now and then.

    Raises:
        UserError: there is no screen.
    """

    def __init__(
        self,
        stop: Event,
        press: Callable[[str], object] | None = None,
        caption: Callable[[], str] | None = None,
    ) -> None:
        super().__init__()
        self._stop, self._shown = stop, False
        self._press, self._caption = press, caption
        self._captioned_s = 0.0
        # Qt aborts the whole process where it finds no display, so ask before.
        why = why_no_screen()
        if (Path(cv2.__file__).parent / "qt").is_dir():
            os.environ["QT_QPA_PLATFORM"] = "xcb"  # the only one that the wheel's Qt has
            os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # it lacks fonts
        elif os.environ.get("WAYLAND_DISPLAY"):
            why = None
        if why:
            raise UserError(
                f"There is no screen for the preview window ({why}); use --output, or run it in a "
                "desktop session."
            )
        loaded = list(sys.modules)
        if sys.platform == "linux" and loaded.index("cv2") > loaded.index("av"):
            # Both bring parts of libxcb: Qt would get PyAV's and hang.
            raise UserError(
                "PyAV was imported before OpenCV, with which no window can be opened; import cv2 "
                "first."
            )
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            raise UserError(
                "This OpenCV has no windows (opencv-python-headless); install opencv-python."
            ) from None

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if not self._shown:
            cv2.resizeWindow(TITLE, frame.width, frame.height)
        cv2.imshow(TITLE, to_bgr(frame))
        if self._caption and perf_counter() - self._captioned_s > CAPTION_S:
            self._captioned_s = perf_counter()
            cv2.setWindowTitle(TITLE, self._caption())
        key = cv2.waitKey(1) & 0xFF
        closed = self._shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        self._shown = True
        if closed or key in (ord("q"), ESCAPE):
            self._stop.set()
        elif self._press and key != NO_KEY:
            self._press(chr(key))

    def finish(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()

    def discard(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()
